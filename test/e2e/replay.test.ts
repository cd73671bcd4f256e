import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Layout } from '../harbor/images.ts';
import { missing } from '../harbor/needs.ts';
import { freePort, getJson, NODE_RELAY, Program, until } from '../world/processes.ts';
import { MAIN, NODE, World } from '../world/world.ts';
import { objectsIn } from './replayed.ts';

const absent = missing('redis-server', 'umoci', 'tshark', 'sha256sum');
const MIB = 2 ** 20;
const FILE_BYTES = 12 * MIB;
const FAULTS = ['--loss', '0.03', '--duplicate', '0.01', '--reorder', '0.02', '--distance', '200', '--seed', '23'];

interface Report {
  readonly files: number;
  readonly firstFile?: number;
  readonly datagrams: number;
  readonly cut: number;
  readonly byHeaders: { readonly verdicts: Readonly<Record<string, number>>; readonly lost: number };
  readonly verdicts: Readonly<Record<string, number>>;
  readonly recorded: Readonly<Record<'same' | 'need' | 'differing' | 'unrecorded' | 'unheld', number>>;
  readonly lost: number;
  readonly recoveredSymbols: number;
  readonly blocks: number;
  readonly sessions: readonly number[];
  readonly heartbeats: number;
  readonly objects: readonly Record<'digest' | 'size' | 'contentType' | 'state', string>[];
  readonly faults: readonly { readonly file: string; readonly code: string; readonly offset: number }[];
  readonly problems: readonly string[];
}

interface RelayCounts {
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly forwarded: number;
}

interface Status {
  readonly link: {
    readonly session: number;
    readonly numbers: Readonly<Record<string, number>>;
    readonly verdicts: Readonly<Record<string, number>>;
  };
}

/** Verdicts by what the log alone decides: news or surplus is one. */
const byNews = ({ accepted = 0, surplus = 0, ...others }: Report['verdicts']): Readonly<Record<string, number>> => ({
  ...others,
  authentic: accepted + surplus,
});

// One run over a bad link, recorded by link in full; a second one in headers only. All that follows is offline.
describe.skipIf(absent !== undefined)(
  `sluice replay${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    const cleanup = new AsyncDisposableStack();
    const dir = mkdtempSync(join(tmpdir(), 'sluice-replay-test-'));
    cleanup.defer(() => {
      rmSync(dir, { recursive: true, force: true });
    });
    const input = join(dir, 'input/random.bin');
    const keys = join(dir, 'replay-keys.json');
    let world: World;
    let relayPort: number;
    let relays = 0;
    /** What link said when everything had arrived, the relay's counts, and the digests of all objects that became whole. */
    let live: { status: Status; relay: RelayCounts; digests: readonly string[] };
    let logs: readonly string[];
    /** The replay of all of it. */
    let whole: { status: number | null; report: Report };

    const startRelay = async (): Promise<Program> => {
      const words = ['--listen', String(relayPort), '--to', String(world.ports.link), ...FAULTS];
      const relay = new Program('relay', [...NODE_RELAY, ...words], join(dir, `logs/relay-${++relays}.log`));
      cleanup.defer(() => relay.stop());
      await relay.line(/ready/);
      return relay;
    };
    const logsIn = (name: string): string[] =>
      readdirSync(join(dir, name))
        .sort()
        .map((file) => join(dir, name, file));
    /** Starts the pair, sends one bundle of these paths, and stops it once all that was sent is recorded. */
    const run = async (name: string, paths: readonly string[]): Promise<{ status: Status; relay: RelayCounts }> => {
      const relay = await startRelay();
      await world.start('receiver');
      await world.start('sender');
      const release = world.release(name, paths, ['release'], ['library/box']);
      const { sequence } = world.submit(release, paths);
      await world.bundle(sequence, ['published', 'queued'], 60_000);
      await world.program('sender').stop();
      await relay.stop();
      const counts = JSON.parse(relay.output().trim().split('\n').at(-1) ?? '') as RelayCounts;
      const status = await until('link to have recorded what the relay forwarded', 20_000, async () => {
        const said = await getJson<Status>(world.url('receiver', '/v1/status'));
        const { chunkLogWritten = 0, kernelDrops = 0 } = said?.link.numbers ?? {};
        return chunkLogWritten + kernelDrops === counts.forwarded ? said : undefined;
      });
      await world.program('receiver').stop();
      return { status, relay: counts };
    };
    const replay = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
      spawnSync(NODE, [MAIN, 'replay', ...args], { encoding: 'utf8', maxBuffer: 64 * MIB });
    const replayed = (files: readonly string[], withKeys = keys): { status: number | null; report: Report } => {
      const { status, stdout } = replay('--json', '--keys', withKeys, ...files);
      return { status, report: JSON.parse(stdout) as Report };
    };
    /** A directory of its own with copies of the logs, to be spoiled. */
    const copied = (name: string): string[] => {
      mkdirSync(join(dir, name));
      return logs.map((log) => {
        const copy = join(dir, name, basename(log));
        copyFileSync(log, copy);
        return copy;
      });
    };

    beforeAll(async () => {
      // The log has objects one by one.
      process.env.SLUICE_LOG_LEVEL = 'debug';
      relayPort = await freePort();
      world = await World.create({
        dir,
        sendTo: { host: '127.0.0.1', port: relayPort },
        tune: ({ link, sender }) => {
          Object.assign(link.chunkLog, { fileBytes: '3MiB' });
          sender.carousel = { passes: 2, gap: '1s' };
        },
      });
      cleanup.defer(() => world.stop());
      await world.startRedis().line(/Ready to accept connections/);
      const layout = await Layout.create(join(dir, 'input/img'));
      await layout.image('1.0', 'replayed');
      writeFileSync(input, randomBytes(FILE_BYTES));
      const first = await run('first', [layout.dir, input]);
      const digests = [...new Set(objectsIn(world.program('receiver').output()))];
      live = { ...first, digests };
      logs = logsIn('chunks');
      whole = replayed(logs);
    });

    afterAll(() => {
      Reflect.deleteProperty(process.env, 'SLUICE_LOG_LEVEL');
      return cleanup.disposeAsync();
    });

    it('yields the digests that arrived live, and counts what link counted', () => {
      expect(logs.length).toBeGreaterThan(3);
      const { status, report } = whole;
      expect(report.problems).toEqual([]);
      expect(status).toBe(0);
      expect(report.objects.map(({ digest }) => digest).toSorted()).toEqual(live.digests.toSorted());
      const file = createHash('sha256').update(readFileSync(input)).digest('hex');
      expect(live.digests).toContain(`sha256:${file}`);
      expect(new Set(report.objects.map(({ state }) => state))).toEqual(new Set(['whole']));

      const { numbers, verdicts, session } = live.status.link;
      expect(report.datagrams).toBe(live.relay.forwarded - (numbers.kernelDrops ?? 0));
      // What was needed is the receiver's to say: a history is wanted anew once it was read, and may become whole again.
      const { need } = report.recorded;
      expect(need).toBeLessThan(report.datagrams / 50);
      expect(report.recorded).toEqual({ same: report.datagrams - need, need, differing: 0, unrecorded: 0, unheld: 0 });
      expect(byNews(report.verdicts)).toEqual(byNews(verdicts));
      for (const name of ['blocks', 'recoveredSymbols'] as const) {
        expect(numbers[name]).toBeGreaterThanOrEqual(report[name]);
        expect((numbers[name] ?? 0) - report[name]).toBeLessThanOrEqual(need);
      }
      expect(report.sessions).toEqual([session]);
      expect(report).toMatchObject({
        lost: numbers.lost,
        cut: 0,
      });
    });

    it('finds what the relay did to the datagrams', () => {
      const { report } = whole;
      const { lost, duplicated, reordered } = live.relay;
      const kernelDrops = live.status.link.numbers.kernelDrops ?? 0;
      expect(reordered).toBeGreaterThan(0);
      expect(duplicated).toBeGreaterThan(0);
      // A gap shows between two numbers that came: what was lost before the first or behind the last is not known.
      expect(lost + kernelDrops - report.lost).toBeGreaterThanOrEqual(0);
      expect(lost + kernelDrops - report.lost).toBeLessThan(20);
      expect(report.recoveredSymbols).toBeGreaterThan(0);
      expect(kernelDrops === 0 ? report.verdicts.replayed : duplicated).toBe(duplicated);
    });

    it('prints received, lost, repaired and rejected, whatever the order of the files, and writes what came out', () => {
      const { report } = whole;
      const out = join(dir, 'out');
      const { status, stdout } = replay('--keys', keys, '--out', out, ...logs.toReversed());
      expect(status).toBe(0);
      const { accepted = 0, surplus = 0, replayed: again = 0 } = report.verdicts;
      const lines = stdout.trim().split('\n');
      const { need } = report.recorded;
      if (need > 0) expect(lines.splice(7, 2).map((line) => line.slice(0, 6))).toEqual(['need  ', 'differ']);
      expect(lines).toEqual([
        `read        ${report.datagrams} datagrams in ${logs.length} files`,
        `sessions    ${report.sessions.join()}; ${report.heartbeats} heartbeats`,
        `received    ${accepted} accepted, ${surplus} surplus`,
        `lost        ${report.lost} datagrams, by gaps in the sequence numbers`,
        `repaired    ${report.recoveredSymbols} source symbols; ${report.blocks} blocks whole`,
        `rejected    ${again}: replayed ${again}`,
        `recorded    ${report.recorded.same} verdicts of the log are the same, 0 differ, 0 datagrams have none`,
        ...report.objects.map(
          ({ digest, size, contentType }) => `object      prod ${digest} ${size} ${contentType} whole`,
        ),
        `written     ${out}`,
        'result      complete',
      ]);
      const names = readdirSync(join(out, 'prod'));
      expect(names.toSorted()).toEqual(live.digests.map((digest) => digest.slice(7)).toSorted());
      const sums = execFileSync('sha256sum', names, { cwd: join(out, 'prod'), encoding: 'utf8' });
      expect(sums.trim().split('\n')).toEqual(names.map((name) => `${name}  ${name}`));
    });

    it('is in files in which tshark finds ALC in every datagram, and none malformed', () => {
      const words = ['-d', `udp.port==${world.ports.link},alc`, '-T', 'fields'];
      const fields = ['frame.protocols', '_ws.malformed', 'rmt-lct.tsi'].flatMap((field) => ['-e', field]);
      const frames = logs.flatMap((log) =>
        execFileSync('tshark', ['-r', log, ...words, ...fields], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
          maxBuffer: 256 * MIB,
        })
          .trimEnd()
          .split('\n'),
      );
      expect(frames).toHaveLength(whole.report.datagrams);
      const kinds = Map.groupBy(frames, (line) => line);
      const { session } = live.status.link;
      for (const kind of kinds.keys()) {
        const [protocols = '', malformed, tsi] = kind.split('\t');
        expect(protocols.split(':')).toContain('alc');
        expect([malformed, Number(tsi)]).toEqual(['', session]);
      }
    });

    it('says where a truncated last file ends, and uses what came before', () => {
      const files = copied('truncated');
      const last = files.at(-1) ?? '';
      const bytes = readFileSync(last);
      // In the middle of a datagram.
      const end = bytes.length - 3 * 1000;
      writeFileSync(last, bytes.subarray(0, end));
      const { status, report } = replayed(files);
      expect(status).toBe(1);
      expect(report.faults).toEqual([{ file: last, code: 'truncated', offset: expect.any(Number) as number }]);
      const offset = report.faults[0]?.offset ?? 0;
      expect(end - offset).toBeGreaterThan(0);
      expect(end - offset).toBeLessThan(1600);
      expect(report.problems[0]).toBe(
        `${basename(last)} is cut off at byte ${offset} (truncated); what came before it was used`,
      );
      const left = whole.report.datagrams - report.datagrams;
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThan(5);
      expect(report.recorded.same).toBe(report.datagrams);
    });

    it('names a file that is missing, and what did not come out for want of it', () => {
      const files = logs.filter((_, i) => i !== 2);
      const { status, report } = replayed(files);
      expect(status).toBe(1);
      const names = [basename(logs[1] ?? ''), basename(logs[3] ?? '')];
      const partial = report.objects.filter(({ state }) => state === 'partial').map(({ digest }) => digest);
      expect(partial).toContain(`sha256:${createHash('sha256').update(readFileSync(input)).digest('hex')}`);
      expect(report.problems).toEqual([
        `chunk log 3 is missing between ${names[0]} and ${names[1]}`,
        `${partial.length} of ${report.objects.length} objects did not come out whole`,
      ]);
      expect(report.lost - whole.report.lost).toBeGreaterThan(1000);
      expect(replay('--keys', keys, ...logs.slice(1)).stdout).toMatch(/files, the first is number 2$/m);
    });

    it('says that a key is the wrong one, and gives nothing out', () => {
      const other = join(dir, 'keys/other-link.key');
      world.sluice('keys', 'link', '--out', other);
      const wrong = join(dir, 'wrong-keys.json');
      writeFileSync(wrong, JSON.stringify({ keys: [{ asid: 0, channel: 'prod', keyFile: other }] }));
      const { status, report } = replayed(logs, wrong);
      expect(status).toBe(1);
      expect(report.verdicts).toEqual({ 'bad-tag': report.datagrams });
      expect(report.objects).toEqual([]);
      const { need, differing, unheld } = report.recorded;
      expect(unheld).toBe(report.datagrams - (live.status.link.verdicts.replayed ?? 0));
      expect([need, differing]).toEqual([0, report.datagrams]);
      expect(report.problems).toEqual([
        `${unheld} datagrams that link found authentic are not so under these keys: a wrong or missing key, or a changed log`,
      ]);
    });

    it('says what is no capture, no file, no port', () => {
      const text = join(dir, 'notes.pcapng');
      writeFileSync(text, 'these are notes');
      const { status, report } = replayed([text]);
      expect(status).toBe(1);
      expect(report.problems).toEqual([
        'notes.pcapng is no pcapng or pcap file at byte 0 (not-a-capture); what came before it was used',
        'there is no datagram in it; look at the files, and at --port',
      ]);
      const gone = replay('--keys', keys, join(dir, 'gone.pcapng'));
      expect(gone.status).toBe(1);
      expect(gone.stderr).toMatch(/^sluice: The capture \S+gone\.pcapng cannot be read \(ENOENT\)/);
      expect(replay('--keys', keys, '--port', '1x', ...logs).status).toBe(2);
      expect(replayed([...logs.slice(0, 1), '--port', String(world.ports.redis)]).report.problems).toEqual([
        'there is no datagram in it; look at the files, and at --port',
      ]);
    });

    it('tells of a log in headers-only mode what link recorded, and that nothing can come out of it', async () => {
      Object.assign(world.configs.link.chunkLog, { mode: 'headers', directory: join(dir, 'headers') });
      world.writeConfigs();
      const small = join(dir, 'input/small.bin');
      writeFileSync(small, randomBytes(2 * MIB));
      const { status: then, relay } = await run('second', [small]);
      const headers = logsIn('headers');
      const bytes = headers.reduce((sum, log) => sum + statSync(log).size, 0);
      expect(bytes / relay.forwarded).toBeLessThan(200);
      const { status, report } = replayed(headers);
      expect(status).toBe(1);
      expect(report).toMatchObject({ datagrams: relay.forwarded, cut: relay.forwarded, objects: [], verdicts: {} });
      expect(report.byHeaders).toEqual({ verdicts: then.link.verdicts, lost: then.link.numbers.lost });
      expect(report.problems).toEqual([
        `of ${report.cut} of ${report.datagrams} datagrams the log holds headers only, so nothing comes out of them; chunkLog.mode "full" keeps all`,
      ]);
      const { accepted = 0, surplus = 0, replayed: again = 0 } = then.link.verdicts;
      expect(replay('--keys', keys, ...headers).stdout).toContain(
        `headers     ${report.cut} with headers only; link recorded ${accepted} accepted, ${surplus} surplus; rejected ${again}: replayed ${again}; ${report.byHeaders.lost} lost\n`,
      );
    });
  },
);
