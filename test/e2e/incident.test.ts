import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
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
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../harbor/needs.ts';
import { Layout } from '../harbor/images.ts';
import { Chromium } from '../rig/chromium.ts';
import { freePort, NODE_RELAY, Program, until } from '../world/processes.ts';
import { MAIN, NODE, World } from '../world/world.ts';
import { type FullReport, type Impact, objectsIn, type Report } from './replayed.ts';

const MIB = 2 ** 20;
const absent = missing('redis-server', 'docker-registry', 'umoci', 'tcpdump', 'tar', 'chromium', 'capinfos');
const FAULTS = ['--loss', '0.02', '--duplicate', '0.01', '--reorder', '0.02', '--distance', '100', '--seed', '23'];
const HOSTILE = '<img src=x onerror=alert(1)> \u202Egnp.exe';

// One bad hour: two bundles cross a lossy link, tcpdump listens, everything else comes afterwards.
describe.skipIf(absent !== undefined)(
  `after an incident${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    const cleanup = new AsyncDisposableStack();
    const dir = mkdtempSync(join(tmpdir(), 'sluice-incident-'));
    cleanup.defer(() => {
      rmSync(dir, { recursive: true, force: true });
    });
    const keys = join(dir, 'replay-keys.json');
    const capture = join(dir, 'tap.pcap');
    const chunks = join(dir, 'chunks');
    const ledger = join(dir, 'receiver/ledger.sqlite');
    const places = ['--ledger', ledger, '--store', join(dir, 'store'), '--quarantine', join(dir, 'quarantine')];
    const indexKey = join(dir, 'keys/receipt.pub.pem');
    const payload = randomBytes(6 * MIB);
    const digest = createHash('sha256').update(payload).digest('hex');
    let world: World;
    let live: readonly string[];
    let lost: { readonly lost: number; readonly duplicated: number };

    const sluice = (
      ...args: string[]
    ): { readonly status: number | null; readonly out: string; readonly err: string } => {
      const { status, stdout, stderr } = spawnSync(NODE, [MAIN, ...args], { encoding: 'utf8', maxBuffer: 64 * MIB });
      return { status, out: stdout, err: stderr };
    };
    const json = (...args: string[]): unknown => {
      const { out, err } = sluice(...args);
      if (out === '') throw new Error(err);
      return JSON.parse(out);
    };
    const digestsOf = ({ objects }: Report): string[] => objects.map((object) => object.digest).toSorted();

    beforeAll(async () => {
      // Link's log has objects one by one.
      process.env.SLUICE_LOG_LEVEL = 'debug';
      const [linkPort, relayPort] = [await freePort(), await freePort()];
      world = await World.create({
        dir,
        linkPort,
        sendTo: { host: '127.0.0.1', port: relayPort },
        tune: ({ link, receiver, sender }) => {
          Object.assign(link.chunkLog, { fileBytes: '2MiB' });
          const chunkLog = { directory: chunks, keyFile: join(dir, 'keys/receipt.key.pem'), every: '200ms' };
          Object.assign(receiver, { chunkLog });
          sender.carousel = { passes: 1, gap: '10min' };
        },
      });
      cleanup.defer(() => world.stop());
      mkdirSync(chunks, { recursive: true });
      const words = ['--listen', String(relayPort), '--to', String(linkPort), ...FAULTS];
      const relay = new Program('relay', [...NODE_RELAY, ...words], join(dir, 'logs/relay.log'));
      cleanup.defer(() => relay.stop());
      await relay.line(/ready/);
      const filter = ['udp', 'dst', 'port', String(linkPort)];
      const tap = new Program(
        'tcpdump',
        ['tcpdump', '-i', 'lo', '-U', '--immediate-mode', '-B', '65536', '-s', '0', '-w', capture, ...filter],
        join(dir, 'logs/tcpdump.log'),
      );
      cleanup.defer(() => tap.stop());
      await tap.line(/listening on/);
      await world.startServices();
      await world.startDaemons();
      const layout = await Layout.create(join(dir, 'input/img'));
      await layout.image('1.0', 'first');
      const file = join(dir, 'input/evil.bin');
      writeFileSync(file, payload);
      const first = [layout.dir, file];
      expect(world.submit(release('one', HOSTILE, first), first).sequence).toBe(1);
      await world.bundle(1, ['imported'], 60_000);
      await layout.image('1.0', 'second');
      const second = [layout.dir];
      expect(world.submit(release('two', 'second', second), second).sequence).toBe(2);
      await world.bundle(2, ['imported'], 60_000);
      // tcpdump must have seen what link has.
      await world.program('sender').stop();
      await relay.stop();
      lost = JSON.parse(relay.output().trim().split('\n').at(-1) ?? '') as typeof lost;
      await tap.stop('SIGINT');
      // An object that is wanted anew becomes whole twice.
      live = [...new Set(objectsIn(world.program('receiver').output()))];
      expect(live.length).toBeGreaterThan(8);
      await until('the chunk log to be entered in its index', 20_000, () => {
        const plain = readdirSync(chunks).filter((name) => name.endsWith('.pcapng'));
        return plain.length === 1 || undefined;
      });
    });
    afterAll(() => {
      Reflect.deleteProperty(process.env, 'SLUICE_LOG_LEVEL');
      return cleanup.disposeAsync();
    });

    /** As `World.release`, with a name of its own within the statement. */
    const release = (file: string, name: string, paths: readonly string[]): string => {
      const path = join(dir, 'input', `${file}.json`);
      writeFileSync(path, world.sluice('release', 'create', '--name', name, '--repository', 'library/box', ...paths));
      writeFileSync(path, world.sluice('release', 'sign', '--key', join(dir, 'keys/release.key.pem'), path));
      return path;
    };

    it('a capture by tcpdump gives the digests that came, with the link keys and without', () => {
      const checked = json('replay', 'verify', '--json', '--keys', keys, capture) as Report;
      expect(checked.problems).toEqual([]);
      expect(digestsOf(checked)).toEqual(live.toSorted());
      expect(new Set(checked.objects.map(({ state }) => state))).toEqual(new Set(['whole']));
      expect(checked.recorded).toMatchObject({ same: 0, differing: 0 });
      expect(checked.recorded.unrecorded).toBe(checked.datagrams);
      expect(checked.verdicts['bad-tag']).toBeUndefined();
      const trusted = json('replay', '--json', capture) as Report;
      expect(trusted.tagsChecked).toBe(false);
      expect(digestsOf(trusted)).toEqual(digestsOf(checked));
      expect(new Set(trusted.objects.map(({ channel }) => channel))).toEqual(new Set(['asid-0']));
      expect(sluice('replay', capture).out).toMatch(/^tags +recorded, not rechecked/m);
    });

    it('our own log, compressed by its keeper, gives the same; the verdicts are the same, without keys too', () => {
      for (const words of [['--keys', keys], []]) {
        const report = json('replay', '--json', ...words, chunks) as Report;
        expect(digestsOf(report)).toEqual(live.toSorted());
        // When the receiver took an object, or wanted it anew, is not in the log: what came then was surplus, or was not.
        expect(report.recorded).toMatchObject({ differing: 0, unrecorded: 0, unheld: 0 });
        expect(report.recorded.need).toBeLessThan(report.datagrams / 50);
      }
    });

    it('gives out one bundle alone, one object alone, and of a stretch of time the part that is there, with its holes', () => {
      const out = join(dir, 'one');
      expect(sluice('replay', 'extract', '--keys', keys, '--out', out, '--bundle', 'prod/2', capture).status).toBe(0);
      expect(readdirSync(join(out, 'prod'))).not.toContain(digest);
      expect(readdirSync(join(out, 'prod')).length).toBeGreaterThanOrEqual(3);
      const single = join(dir, 'single');
      expect(sluice('replay', 'extract', '--out', single, '--object', digest, capture).status).toBe(0);
      expect(readdirSync(join(single, 'asid-0'))).toEqual([digest]);
      expect(readFileSync(join(single, 'asid-0', digest)).equals(payload)).toBe(true);
      // Half of the time in which the large object was on its way.
      const cut = join(dir, 'cut');
      const times = execFileSync('capinfos', ['-T', '-r', '-S', '-a', '-e', capture], { encoding: 'utf8' })
        .trim()
        .split('\t');
      const { steps } = (json('replay', 'report', '--json', '--out', join(dir, 'times.html'), capture) as FullReport)
        .timeline;
      expect(times.length).toBeGreaterThanOrEqual(3);
      const busiest = steps.toSorted((a, b) => (b.counts.bytes ?? 0) - (a.counts.bytes ?? 0))[0];
      const { status } = sluice('replay', 'extract', '--out', cut, '--to', busiest?.time ?? '', capture);
      expect(status).toBe(1);
      const map = readdirSync(join(cut, 'asid-0')).find(
        (name) => name.startsWith(digest) && name.endsWith('.holes.json'),
      );
      const { holes, size } = JSON.parse(readFileSync(join(cut, 'asid-0', map ?? ''), 'utf8')) as {
        holes: [number, number][];
        size: number;
      };
      const part = readFileSync(join(cut, 'asid-0', (map ?? '').replace('.holes.json', '.part')));
      const there = payload.subarray(0, size);
      let at = 0;
      for (const [offset, bytes] of holes) {
        expect(part.subarray(at, offset).equals(there.subarray(at, offset))).toBe(true);
        at = offset + bytes;
      }
      expect(holes.length).toBeGreaterThan(0);
    });

    it('has a report that says what the link did, and that nothing in it is more than text', async () => {
      const page = join(dir, 'report.html');
      const { status } = sluice('replay', 'report', '--keys', keys, '--ledger', ledger, '--out', page, capture);
      expect(status).toBe(0);
      const full = JSON.parse(readFileSync(join(dir, 'report.json'), 'utf8')) as FullReport;
      expect(full.lost).toBeGreaterThan(0);
      expect(lost.lost - full.lost).toBeGreaterThanOrEqual(0);
      expect(lost.lost - full.lost).toBeLessThan(20);
      expect(full.duplicates).toBe(lost.duplicated);
      expect(full.reordered).toBeGreaterThan(0);
      const inBursts = Object.entries(full.bursts).reduce((sum, [length, count]) => sum + Number(length) * count, 0);
      expect(inBursts).toBe(full.lost);
      const inTime = full.timeline.steps.reduce((sum, { counts }) => sum + (counts.lost ?? 0), 0);
      expect(inTime).toBe(full.lost);
      expect(
        full.bundles.map(({ whole, objects, ledger: { state, agrees } }) => [whole === objects, state, agrees]),
      ).toEqual([
        [true, 'imported', true],
        [true, 'imported', true],
      ]);
      const html = readFileSync(page, 'utf8');
      expect(html).not.toContain('<img');
      expect(html).not.toContain('\u202E');
      expect(html).not.toMatch(/<script|https?:\/\//);
      const browser = await Chromium.start();
      try {
        const tab = await browser.open(pathToFileURL(page).href);
        await tab.look(1200, 900, 'light');
        const text = await until('the report to be shown', 20_000, async () => {
          const shown = await tab.value<string>('document.body?.innerText ?? ""');
          return shown.includes('Made of') ? shown : undefined;
        });
        expect(text).toContain('<img src=x onerror=alert(1)> \\u202egnp.exe');
        expect(await tab.value<number>('document.images.length')).toBe(0);
        expect(await tab.value<number>("document.querySelectorAll('svg path.rate').length")).toBe(1);
        expect(await tab.value<boolean>('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
        expect(tab.complaints).toEqual([]);
        const shots = process.env.SLUICE_SHOTS;
        if (shots !== undefined) {
          await tab.screenshot(join(shots, 'report-light.png'));
          await tab.look(420, 900, 'dark');
          await tab.screenshot(join(shots, 'report-dark.png'));
        }
      } finally {
        await browser.stop();
      }
    });

    it('has logs in which the name of a bundle is no more than text, too', () => {
      const all = ['sender', 'receiver', 'importer'].map((name) => readFileSync(join(dir, `logs/${name}.log`), 'utf8'));
      expect(all.filter((text) => text.includes('<img src=x onerror=alert(1)> \\u202egnp.exe')).length).toBeGreaterThan(
        0,
      );
      for (const text of all) expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
    });

    it('each chunk log says under what it was received, and the ledger knows what that was', () => {
      const { good, faults } = json('chunklog', 'verify', '--json', '--key', indexKey, '--ledger', ledger, chunks) as {
        good: { name: string; under: Record<string, string> }[];
        faults: string[];
      };
      expect(faults).toEqual([]);
      expect(good.length).toBeGreaterThan(2);
      const { under } = good.at(-1)!;
      expect(under.mode).toBe('full');
      for (const name of ['receiver', 'trust', 'policy']) expect(under[name]).toMatch(/^sha256:[0-9a-f]{64}$/);
      const text = execFileSync(
        'sqlite3',
        [ledger, `SELECT text FROM archive WHERE digest = '${under.policy ?? ''}'`],
        { encoding: 'utf8' },
      );
      expect(`sha256:${createHash('sha256').update(text.replace(/\n$/, '')).digest('hex')}`).toBe(under.policy);
      expect(text).toContain('"releaseSignatures":1');
    });

    it('names what entered by a key, and which of it is still there', () => {
      const views = json('impact', '--json', ...places, '--signer', join(dir, 'keys/release.pub.pem')) as Impact[];
      expect(views.map(({ sequence }) => sequence)).toEqual([1, 2]);
      const [first, second] = views.map(({ artifacts }) => artifacts.find(({ type }) => type === 'image'));
      expect(first?.sites.map(({ site }) => site)).toEqual(['a', 'b']);
      expect(first?.places).toEqual([{ target: 'library/box:1.0', now: 'prod/2', isCurrent: false }]);
      expect(second?.places).toEqual([{ target: 'library/box:1.0', now: 'prod/2', isCurrent: true }]);
      const words = sluice('impact', ...places, '--bundle', 'prod/1').out;
      expect(words).toContain('"<img src=x onerror=alert(1)> \\u202egnp.exe", imported');
      expect(words).toMatch(/^now +library\/box:1\.0: prod\/2$/m);
      expect(words.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
      expect(json('impact', '--json', ...places, '--since', '2999-01-01T00:00:00Z')).toEqual([]);
      expect(sluice('impact', ...places, '--bundle', 'prod/9').status).toBe(1);
      // It only looks: the ledger is as it was, and belongs to its daemon alone.
      expect(
        sluice('impact', '--ledger', join(dir, 'nowhere.sqlite'), '--since', '2026-01-01T00:00:00Z').err,
      ).toContain('(ledger-unreadable)');
      expect(existsSync(join(dir, 'nowhere.sqlite'))).toBe(false);
      expect(json('impact', '--json', ...places, '--signer', 'f'.repeat(64))).toEqual([]);
    });

    it('is put into one signed archive, whose log slice replays', () => {
      const out = join(dir, 'case.tar');
      const key = join(dir, 'keys/other.key.pem');
      const made = sluice('case', ...places, '--chunks', chunks, '--key', key, '--out', out, 'prod/1');
      expect([made.status, made.err]).toEqual([0, '']);
      const into = join(dir, 'case');
      mkdirSync(into);
      execFileSync('tar', ['-xf', out, '-C', into]);
      const manifest = JSON.parse(readFileSync(join(into, 'manifest.dsse.json'), 'utf8')) as {
        payload: string;
        signatures: { sig: string }[];
      };
      const statement = JSON.parse(Buffer.from(manifest.payload, 'base64').toString()) as {
        subject: { name: string; digest: { sha256: string } }[];
      };
      for (const {
        name,
        digest: { sha256 },
      } of statement.subject)
        expect(
          createHash('sha256')
            .update(readFileSync(join(into, name)))
            .digest('hex'),
          name,
        ).toBe(sha256);
      const names = statement.subject.map(({ name }) => name);
      for (const name of [
        'ledger.json',
        'statements/transport.dsse.json',
        'statements/release.dsse.json',
        'verification.json',
        'receipt.json',
        'logs/slice.pcapng',
      ])
        expect(names).toContain(name);
      const verification = JSON.parse(readFileSync(join(into, 'verification.json'), 'utf8')) as {
        statements: { signatures: { roles: string[]; holds: boolean }[] }[];
      };
      expect(
        verification.statements.flatMap(({ signatures }) => signatures.map(({ roles, holds }) => [roles, holds])),
      ).toEqual([
        [['transport prod'], true],
        [['release prod'], true],
      ]);
      const slice = json(
        'replay',
        '--json',
        '--keys',
        keys,
        '--object',
        digest,
        join(into, 'logs/slice.pcapng'),
      ) as Report;
      expect(slice.objects.map((object) => [object.digest, object.state])).toEqual([[`sha256:${digest}`, 'whole']]);
    });

    it('is played to a receiver again, as a media session that leaves the live one alone', async () => {
      const session = async (): Promise<number | undefined> =>
        (await world.get<{ link: { session?: number } }>('receiver', '/v1/status'))?.link.session;
      const before = await until('the session that link is in', 20_000, session);
      // Not waited for in this thread, which reads the answer of the receiver meanwhile.
      const words = [
        'replay',
        'send',
        '--json',
        '--keys',
        keys,
        '--rate',
        '200Mbit/s',
        '--target',
        `127.0.0.1:${String(world.ports.link)}`,
      ];
      const child = execFile(NODE, [MAIN, ...words, capture], { encoding: 'utf8' });
      let out = '';
      child.stdout?.on('data', (piece: string) => (out += piece));
      await once(child, 'close');
      const { sent, sessions } = JSON.parse(out) as { sent: number; sessions: number[] };
      expect(sessions.map((tsi) => tsi >>> 30)).toEqual([1]);
      await until('link to have seen them', 20_000, async () => {
        const status = await world.get<{ link: { verdicts: Record<string, number> } }>('receiver', '/v1/status');
        return (status?.link.verdicts.surplus ?? 0) >= sent / 2 || undefined;
      });
      expect(await until('the session that link is in', 20_000, session)).toBe(before);
      expect((await world.bundles()).map(({ state }) => state)).toEqual(['imported', 'imported']);
    });

    it('a log that somebody touched is found out', () => {
      const [first = '', second = ''] = readdirSync(chunks)
        .filter((name) => name.endsWith('.zst'))
        .toSorted();
      const bytes = readFileSync(join(chunks, first));
      bytes[bytes.length >>> 1] = (bytes[bytes.length >>> 1] ?? 0) ^ 4;
      writeFileSync(join(chunks, first), bytes);
      renameSync(join(chunks, second), join(dir, second));
      const { status, out } = sluice('chunklog', 'verify', '--key', indexKey, '--ledger', ledger, chunks);
      expect(status).toBe(1);
      expect(out).toContain(`fault       ${first} is not what the index says: it was altered`);
      expect(out).toContain(`fault       ${second} is in the index and not there: it was removed`);
      expect(out).toContain('result      tampered with, or damaged');
    });
  },
);
