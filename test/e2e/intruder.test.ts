import { createSocket } from 'node:dgram';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeEnvelope, parseEnvelope, preAuthEncoding } from '../../packages/bundle/src/index.ts';
import { readChunkLog } from '../../packages/pcapng/src/index.ts';
import type { Digest } from '../../packages/ports/src/index.ts';
import { loadSigner } from '../../packages/trust/src/index.ts';
import { Layout } from '../harbor/images.ts';
import { missing } from '../harbor/needs.ts';
import { getJson, until } from '../world/processes.ts';
import { type BundleView, World } from '../world/world.ts';
import { digestOf, type Forgery, TakenHost } from './taken-host.ts';

const absent = missing('redis-server', 'docker-registry', 'umoci');
/** Datagrams sent at a time when recorded ones are sent again. */
const BURST = 100;

interface Status {
  readonly link: { readonly verdicts: Readonly<Record<string, number>> };
}

// The staging host is lost: link key, transport key, inbox, control socket, ledger and store are the intruder's. The
// release keys never were there. Two honest bundles came before, the second with newer content for the same targets.
describe.skipIf(absent !== undefined)(
  `an intruder on the staging host${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    const cleanup = new AsyncDisposableStack();
    const dir = mkdtempSync(join(tmpdir(), 'sluice-intruder-'));
    cleanup.defer(() => {
      rmSync(dir, { recursive: true, force: true });
    });
    const evil = join(dir, 'input/evil.bin');
    const waiting = join(dir, 'input/waiting.txt');
    let world: World;
    let layout: Layout;
    /** Envelopes of the honest releases, by name, and a statement of evil contents that nobody approved. */
    const approved = new Map<string, Uint8Array>();
    let wanted: Uint8Array;
    let before: ReadonlyMap<string, string>;

    const honest = async (name: string, text: string): Promise<void> => {
      layout = await Layout.create(join(dir, 'input', name));
      await layout.image('1.0', text);
      const notes = join(dir, 'input/notes.txt');
      writeFileSync(notes, text);
      copyFileSync(notes, join(dir, `input/${name}.txt`));
      const release = world.release(name, [layout.dir, notes], ['release'], ['library/box']);
      approved.set(name, readFileSync(release));
      const { sequence } = world.submit(release, [layout.dir, notes]);
      await world.bundle(sequence, ['imported'], 60_000);
    };
    const releaseOf = (name: string): Uint8Array => approved.get(name) ?? new Uint8Array();
    /** Everything at both sites, among the files and in the store of the isolated side, by path and digest. */
    const isolated = (): ReadonlyMap<string, string> => {
      const found = new Map<string, string>();
      for (const place of ['files', 'store/blobs', 'store/packs', 'harbor-a', 'harbor-b']) {
        for (const entry of readdirSync(join(dir, place), { recursive: true, withFileTypes: true })) {
          const path = join(entry.parentPath, entry.name);
          if (entry.isFile()) found.set(path, digestOf(readFileSync(path)));
        }
      }
      return found;
    };
    const record = async (id: string): Promise<BundleView | undefined> =>
      (await world.bundles()).find((bundle) => bundle.id === id);
    /** Waits until the bundle is refused; the code, which its place in quarantine must have too. */
    const refusal = async (id: string): Promise<string> => {
      const bundle = await until(`bundle ${id} to be judged`, 60_000, async () => {
        const found = await record(id);
        return found === undefined || found.state === 'receiving' ? undefined : found;
      });
      expect(bundle).toMatchObject({ id, state: 'quarantined' });
      const place = join(dir, 'quarantine', id.slice('sha256:'.length), 'reason.json');
      expect(JSON.parse(readFileSync(place, 'utf8'))).toMatchObject({ bundle: id, code: bundle.code });
      expect(world.program('importer').output()).not.toContain(id.slice('sha256:'.length));
      return bundle.code;
    };
    const envelope = (payload: Uint8Array, keys: readonly string[]): Uint8Array =>
      encodeEnvelope({ payload, signatures: keys.map((key) => signature(payload, key)) });
    const signature = (payload: Uint8Array, key: string): { keyid: string; sig: Uint8Array } => {
      const signer = loadSigner(readFileSync(join(dir, 'keys', `${key}.key.pem`), 'utf8'));
      return { keyid: signer.keyid, sig: signer.sign(preAuthEncoding(payload)) };
    };
    const signaturesOf = (bytes: Uint8Array) => {
      const parsed = parseEnvelope(bytes);
      return parsed.ok ? parsed.value.signatures : [];
    };
    /** Releases that the intruder would like to pass for approved. */
    const pretended = (): Record<string, Uint8Array> => {
      const [approval] = signaturesOf(releaseOf('honest'));
      const { sig } = signature(wanted, 'transport');
      return {
        unsigned: envelope(wanted, []),
        'by the transport key': envelope(wanted, ['transport']),
        'by an unknown key': envelope(wanted, ['other']),
        'by both': envelope(wanted, ['transport', 'other']),
        'with the approval of another': encodeEnvelope({ payload: wanted, signatures: approval ? [approval] : [] }),
        'under a borrowed keyid': encodeEnvelope({
          payload: wanted,
          signatures: [{ keyid: approval?.keyid ?? '', sig }],
        }),
      };
    };

    beforeAll(async () => {
      world = await World.create({
        dir,
        tune: ({ sender }) => {
          sender.carousel = { passes: 1, gap: '1s' };
        },
      });
      cleanup.defer(() => world.stop());
      await world.startServices();
      await world.startDaemons();
      await honest('honest', 'the first notes');
      await honest('newer', 'the second notes');
      // Approved, and not sent yet.
      writeFileSync(waiting, 'approved notes');
      approved.set('waiting', readFileSync(world.release('waiting', [waiting])));
      writeFileSync(evil, 'what nobody approved');
      wanted = readFileSync(world.release('evil', [evil], []));
      before = isolated();
    });

    afterAll(() => cleanup.disposeAsync());

    it('finds that both honest bundles came in, so that the rest of this file can fail', () => {
      expect(readFileSync(join(dir, 'files/notes.txt'), 'utf8')).toBe('the second notes');
      expect(before.size).toBeGreaterThan(20);
    });

    it('gets no release in by the control socket that no release key signed', async () => {
      const codes: Record<string, string> = {};
      for (const [name, bytes] of Object.entries(pretended())) {
        const file = join(dir, 'input/pretended.json');
        writeFileSync(file, bytes);
        codes[name] = await refusal(world.submit(file, [evil]).bundle);
      }
      expect(codes).toEqual({
        unsigned: 'signer-unknown',
        'by the transport key': 'signer-unknown',
        'by an unknown key': 'signer-unknown',
        'by both': 'signer-unknown',
        'with the approval of another': 'signature-invalid',
        'under a borrowed keyid': 'signature-invalid',
      });
      expect(isolated()).toEqual(before);
    });

    it('gets nothing in by the inbox: what the sender itself sees is refused there, the rest is quarantined', async () => {
      const place = (name: string, release: Uint8Array, files: readonly string[]): void => {
        const work = join(dir, 'input/work');
        mkdirSync(work);
        writeFileSync(join(work, 'release.dsse.json'), release);
        for (const file of files) cpSync(file, join(work, file.split('/').at(-1) ?? ''), { recursive: true });
        renameSync(work, join(dir, 'inbox', name));
      };
      const known = new Set((await world.bundles()).map(({ id }) => id));
      place('by-the-transport-key', pretended()['by the transport key'] ?? new Uint8Array(), [evil]);
      place('no-envelope', wanted, [evil]);
      place('approved-other-files', releaseOf('honest'), [evil]);
      const reason = (name: string): Promise<string> =>
        until(`${name} to be refused`, 60_000, () => {
          try {
            const text = readFileSync(join(dir, 'refused/prod', name, 'reason.json'), 'utf8');
            return (JSON.parse(text) as { code: string }).code;
          } catch {
            return undefined;
          }
        });
      expect(await reason('no-envelope')).toBe('json-malformed');
      expect(await reason('approved-other-files')).toBe('blob-missing');
      const sent = await until('the first of them to arrive', 60_000, async () =>
        (await world.bundles()).find(({ id }) => !known.has(id)),
      );
      expect(await refusal(sent.id)).toBe('signer-unknown');
      expect(isolated()).toEqual(before);
    });

    it('gets an approved release, with all that belongs to it, in once and not again', async () => {
      const file = join(dir, 'input/again.json');
      writeFileSync(file, releaseOf('honest'));
      copyFileSync(join(dir, 'input/honest.txt'), join(dir, 'input/notes.txt'));
      const { bundle } = world.submit(file, [join(dir, 'input/honest'), join(dir, 'input/notes.txt')]);
      expect(await refusal(bundle)).toBe('release-repeated');
      expect(isolated()).toEqual(before);
    });

    it('gets nothing in by forged transport statements, nor by a bundle sent once more', async () => {
      await world.program('sender').stop();
      const host = await TakenHost.open(dir);
      const ids: Record<string, Digest> = {};
      const first = host.sealed('honest');
      const { sequence, id: head } = host.head;
      const contents = [readFileSync(evil)];
      const next = { sequence: sequence + 1, previous: head };
      const forge = async (name: string, release: Uint8Array, more: Partial<Forgery> = {}): Promise<void> => {
        ids[name] = await host.forge({ name, release, blobs: contents, ...more });
      };
      const byTransport = pretended()['by the transport key'] ?? new Uint8Array();
      const seen = await record(first.id);
      host.again(first.id);
      await forge('a fork', releaseOf('honest'), { bend: (all) => ({ ...all, ...next, previous: first.id }) });
      await forge('a number twice', releaseOf('honest'), {
        bend: (all) => ({ ...all, sequence: first.sequence, previous: null }),
      });
      await forge('a stranger', releaseOf('honest'), { key: 'other', bend: (all) => ({ ...all, ...next }) });
      await forge('another channel', releaseOf('honest'), { bend: (all) => ({ ...all, ...next, channel: 'test' }) });
      await forge('let in before, other contents', releaseOf('honest'), { bend: (all) => ({ ...all, ...next }) });
      // From here on the numbers leave a gap, which is a named state and no refusal.
      await forge('let in before, no contents', releaseOf('honest'), { blobs: [] });
      await forge('approved, and more', releaseOf('waiting'), { blobs: [readFileSync(waiting), ...contents] });
      await forge('approved, other contents', releaseOf('waiting'));
      await forge('approved, one byte more', releaseOf('waiting'), {
        bend: (all) => ({ ...all, release: { ...all.release, size: all.release.size + 1 } }),
      });
      await forge('no approval', byTransport);
      await forge('a release that is none', Buffer.from(byTransport.subarray(0, 100)));
      host.close();
      await world.start('sender');
      const codes: Record<string, string> = {};
      for (const [name, id] of Object.entries(ids)) codes[name] = await refusal(id);
      expect(codes).toEqual({
        'a fork': 'chain-mismatch',
        'a number twice': 'sequence-repeated',
        'a stranger': 'signer-unknown',
        'another channel': 'channel-mismatch',
        'let in before, other contents': 'release-repeated',
        'let in before, no contents': 'release-repeated',
        'approved, and more': 'blob-unlisted',
        'approved, other contents': 'blob-missing',
        'approved, one byte more': 'release-mismatch',
        'no approval': 'signer-unknown',
        'a release that is none': 'json-malformed',
      });
      // It went out before all of those.
      expect(await record(first.id)).toEqual(seen);
      expect(isolated()).toEqual(before);
    });

    it('has not spoiled the contents themselves: they come in once somebody has approved them', async () => {
      const release = world.release('approved at last', [evil]);
      await world.bundle(world.submit(release, [evil]).sequence, ['imported'], 60_000);
      expect(readFileSync(join(dir, 'files/evil.bin'), 'utf8')).toBe('what nobody approved');
      before = isolated();
    });

    it('gets nothing in by datagrams sent once more, not even to a link that has just started', async () => {
      await world.program('sender').stop();
      const datagrams = await recorded();
      const verdicts = async (): Promise<Readonly<Record<string, number>>> =>
        (await getJson<Status>(world.url('receiver', '/v1/status')))?.link.verdicts ?? {};
      const sum = (counts: Readonly<Record<string, number>>): number =>
        Object.values(counts).reduce((a, b) => a + b, 0);
      const refused = ({ replayed = 0, 'old-session': old = 0 }: Readonly<Record<string, number>>): number =>
        replayed + old;
      const known = refused(await verdicts());
      const bundles = await world.bundles();
      await sendAll(datagrams);
      await until('link to have refused each of them', 20_000, async () =>
        refused(await verdicts()) === known + datagrams.length ? true : undefined,
      );

      const pid = world.linkPid();
      process.kill(pid, 'SIGKILL');
      await until('another link', 20_000, () => world.linkPid() !== pid || undefined);
      await until('it to be ready', 20_000, async () => (sum(await verdicts()) === 0 ? true : undefined));
      await sendAll(datagrams);
      await until('it to have judged all of them', 20_000, async () =>
        sum(await verdicts()) === datagrams.length ? true : undefined,
      );
      await world.program('receiver').line(/"alarm":"epoch-went-back"/);
      expect(await world.bundles()).toEqual(bundles);
      expect(isolated()).toEqual(before);
    });

    it('has not stopped the channel: what is approved comes in afterwards', async () => {
      await world.start('sender');
      await honest('after', 'the third notes');
      expect(readFileSync(join(dir, 'files/notes.txt'), 'utf8')).toBe('the third notes');
      expect(isolated()).not.toEqual(before);
    });

    /** Every datagram that link has seen. */
    async function recorded(): Promise<Uint8Array[]> {
      const logs = readdirSync(join(dir, 'chunks')).map((name) => join(dir, 'chunks', name));
      const found: Uint8Array[] = [];
      for await (const item of readChunkLog(logs)) if (item.kind === 'datagram') found.push(item.udp.payload.slice());
      return found;
    }

    async function sendAll(datagrams: readonly Uint8Array[]): Promise<void> {
      const socket = createSocket('udp4');
      for (let i = 0; i < datagrams.length; i += BURST) {
        await Promise.all(
          datagrams.slice(i, i + BURST).map(
            (datagram) =>
              new Promise<void>((resolve, reject) => {
                socket.send(datagram, world.ports.link, '127.0.0.1', (error) => {
                  if (error === null) resolve();
                  else reject(error);
                });
              }),
          ),
        );
      }
      socket.close();
    }
  },
);
