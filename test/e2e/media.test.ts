import { execFile, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../harbor/needs.ts';
import { freePort, until } from '../world/processes.ts';
import { MAIN, NODE, World } from '../world/world.ts';

const MIB = 2 ** 20;
const absent = missing('tshark');

interface Imported {
  readonly session: string;
  readonly parts: number;
  readonly missing: readonly number[];
  readonly damaged: readonly { readonly file: string; readonly code: string }[];
  readonly verdicts: Readonly<Record<string, number>>;
  readonly objects: readonly {
    readonly digest: string;
    readonly state: string;
    readonly blocks: number;
    readonly stored: number;
  }[];
}

/** A pair whose fibre is dark until somebody lets it through; what it publishes stays in the outbox. */
describe.skipIf(absent !== undefined)(
  `a bundle carried by hand${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    const cleanup = new AsyncDisposableStack();
    const dir = mkdtempSync(join(tmpdir(), 'sluice-media-'));
    cleanup.defer(() => {
      rmSync(dir, { recursive: true, force: true });
    });
    const socket = join(dir, 'sockets/media.sock');
    const fibre = { isLit: false, dark: (): Promise<unknown> => Promise.resolve() };
    let world: World;

    beforeAll(async () => {
      const port = await freePort();
      world = await World.create({
        dir,
        sendTo: { host: '127.0.0.1', port },
        tune: ({ link, receiver, sender }) => {
          Object.assign(link, { media: { socket } });
          sender.carousel = { passes: 1, gap: '10min' };
          const tickets = { spoolDirectory: join(dir, 'spool'), controlSocket: join(dir, 'sockets/receiver.sock') };
          Object.assign(receiver, { tickets: { keyFile: join(dir, 'keys/other.key.pem'), ...tickets } });
          Object.assign(receiver, { control: { socket: join(dir, 'sockets/receiver.control') } });
        },
      });
      cleanup.defer(() => world.stop());
      const [before, behind] = [createSocket({ type: 'udp4', recvBufferSize: 8 * MIB }), createSocket('udp4')];
      before.on('message', (datagram) => {
        if (fibre.isLit) behind.send(datagram, world.ports.link, '127.0.0.1');
      });
      before.bind(port, '127.0.0.1');
      await once(before, 'listening');
      cleanup.defer(() => {
        before.close();
        behind.close();
      });
      // What waited for this thread has gone into the dark, too, once this one has come through.
      fibre.dark = () => {
        const marker = Buffer.from(`marker ${String(Math.random())}`);
        const seen = new Promise((resolve) => {
          before.on('message', (datagram) => datagram.equals(marker) && resolve(datagram));
        });
        behind.send(marker, port, '127.0.0.1');
        return seen;
      };
      await world.start('receiver');
      await world.start('sender');
    });
    afterAll(() => cleanup.disposeAsync());

    const submit = (name: string, bytes: number): { readonly sequence: number; readonly digest: string } => {
      const path = join(dir, 'input', `${name}.bin`);
      const content = randomBytes(bytes);
      writeFileSync(path, content);
      const { sequence } = world.submit(world.release(name, [path]), [path]);
      return { sequence, digest: createHash('sha256').update(content).digest('hex') };
    };
    const exported = (bundle: string, name: string): readonly string[] => {
      const to = join(dir, name);
      world.sluice('export', '--socket', join(dir, 'sockets/sender.sock'), '--to', to, '--part-bytes', '1MiB', bundle);
      return readdirSync(to)
        .toSorted()
        .map((file) => join(to, file));
    };
    // Not waited for in this thread: it is the fibre.
    const imported = async (name: string): Promise<{ readonly status: number | null; readonly result: Imported }> => {
      const words = ['import-media', '--json', '--socket', socket, join(dir, name)];
      const child = execFile(NODE, [MAIN, ...words], { encoding: 'utf8' });
      const said = { stdout: '', stderr: '' };
      child.stdout?.on('data', (piece: string) => (said.stdout += piece));
      child.stderr?.on('data', (piece: string) => (said.stderr += piece));
      await once(child, 'close');
      if (said.stdout === '') throw new Error(said.stderr);
      const [result] = JSON.parse(said.stdout) as Imported[];
      if (result === undefined) throw new Error('nothing was imported');
      return { status: child.exitCode, result };
    };
    const states = ({ objects }: Imported): ReadonlySet<string> => new Set(objects.map(({ state }) => state));

    it('lies in files that are no longer than asked for, and that tshark can read', () => {
      submit('first', 9 * MIB);
      const files = exported('prod/1', 'stick');
      expect(files.length).toBeGreaterThanOrEqual(10);
      for (const file of files) expect(statSync(file).size).toBeLessThanOrEqual(MIB);
      const { stdout } = spawnSync(
        'tshark',
        ['-r', files[4] ?? '', '-d', 'udp.port==4433,alc', '-T', 'fields', '-e', 'rmt-lct.tsi'],
        {
          encoding: 'utf8',
        },
      );
      const sessions = new Set(stdout.trim().split('\n').map(Number));
      expect(sessions.size).toBe(1);
      // The class of a media session: the upper two bits are 01.
      for (const tsi of sessions) expect(tsi >>> 30).toBe(1);
    });

    it('comes in whole without one file and with a damaged one, while another comes by the fibre', async () => {
      const [, gone = '', , scratched = ''] = readdirSync(join(dir, 'stick'))
        .toSorted()
        .map((file) => join(dir, 'stick', file));
      rmSync(gone);
      // From its very start: the head of the file is lost, too.
      const file = openSync(scratched, 'r+');
      writeSync(file, new Uint8Array(1000), 0, 1000, 0);
      writeSync(file, randomBytes(100_000), 0, 100_000, 400_000);
      closeSync(file);
      await fibre.dark();
      fibre.isLit = true;
      const live = submit('live', 6 * MIB);
      const { status, result } = await imported('stick');
      expect(result).toMatchObject({ missing: [2], damaged: expect.arrayContaining([]) as unknown });
      expect(new Set(result.damaged.map((each) => join(dir, 'stick', each.file)))).toEqual(new Set([scratched]));
      expect(result.damaged.length).toBeGreaterThanOrEqual(2);
      expect(states(result)).toEqual(new Set(['whole']));
      expect(status).toBe(0);
      await world.bundle(1, ['published'], 30_000);
      await world.bundle(live.sequence, ['published'], 30_000);
      fibre.isLit = false;
    });

    it('does no harm when it comes a second time', async () => {
      const before = await world.bundles();
      const { status, result } = await imported('stick');
      expect(states(result)).toEqual(new Set(['known']));
      expect(status).toBe(0);
      expect(await world.bundles()).toEqual(before);
    });

    it('is named with what lacks in a ticket when too many files are lost, and is whole once they are found', async () => {
      const { sequence, digest } = submit('second', 9 * MIB);
      const files = exported(`prod/${String(sequence)}`, 'other');
      const lost = files.slice(2, 8);
      for (const file of lost) renameSync(file, `${file}.lost`);
      const first = await imported('other');
      expect(first.status).toBe(1);
      expect(first.result.missing).toEqual([3, 4, 5, 6, 7, 8]);
      const partial = first.result.objects.filter(({ state }) => state === 'partial');
      expect(partial.map((each) => each.digest)).toEqual([`sha256:${digest}`]);
      const words = ['ticket', '--yes', '--socket', join(dir, 'sockets/receiver.sock'), `prod/${String(sequence)}`];
      const { stderr } = spawnSync(NODE, [MAIN, ...words], { encoding: 'utf8' });
      expect(stderr).toMatch(new RegExp(`bundle ${String(sequence)}\\b`));
      for (const file of lost) renameSync(`${file}.lost`, file);
      const again = await imported('other');
      expect(again.status).toBe(0);
      await world.bundle(sequence, ['published'], 30_000);
      expect(existsSync(join(dir, 'store/blobs/sha256', digest))).toBe(true);
      expect(
        createHash('sha256')
          .update(readFileSync(join(dir, 'store/blobs/sha256', digest)))
          .digest('hex'),
      ).toBe(digest);
    });

    it('comes from no other than link: recorded datagrams of the fibre are passed over', () => {
      const chunks = spawnSync(NODE, [MAIN, 'import-media', '--socket', socket, join(dir, 'chunks')], {
        encoding: 'utf8',
      });
      expect(chunks.status).toBe(1);
      expect(chunks.stdout).toMatch(/^foreign +\d+ datagrams of no media session were passed over$/m);
    });

    describe('by keys that were revoked before it came', () => {
      const revoke = (key: string): string =>
        world.sluice('keys', 'revoke', '--socket', join(dir, 'sockets/receiver.control'), '--reason', 'stolen', key);
      const lines = (): number => readFileSync(join(dir, 'logs/receiver.log'), 'utf8').split('\n').length;

      it('is refused where the key signed: its statement lies in quarantine, and nothing of it in the store', async () => {
        const { sequence, digest } = submit('signed', 2 * MIB);
        exported(`prod/${String(sequence)}`, 'signed');
        revoke(join(dir, 'keys/transport.pub.pem'));
        await imported('signed');
        const refused = await until('the bundle to be refused', 20_000, async () =>
          (await world.bundles()).find(({ state }) => state === 'quarantined'),
        );
        expect(refused.code).toBe('key-revoked');
        expect(existsSync(join(dir, 'store/blobs/sha256', digest))).toBe(false);
      });

      it('is refused where the key tagged, datagram by datagram', async () => {
        const key = world.sluice('keys', 'id', join(dir, 'keys/link.key')).trim();
        const before = lines();
        expect(revoke(key)).toContain(key.slice(0, 12));
        await until('link to hear of it', 20_000, () => lines() > before || undefined);
        const { status, result } = await imported('stick');
        expect(status).toBe(1);
        expect(result.objects).toEqual([]);
        expect(Object.keys(result.verdicts)).toEqual(['key-ended']);
      });
    });
  },
);
