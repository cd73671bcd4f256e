import { createHealth, type CheckResult, type Health, Pace } from '@sluice/chassis';
import { ReceiverLedger } from '@sluice/ledger';
import { OperationalError, hostile } from '@sluice/ports';
import type { ImportQueue } from '@sluice/queue';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createJsonLogger } from '@sluice/base';
import type { AnswerParts } from '../src/answers.ts';
import { addChecks } from '../src/checks.ts';
import type { Heartbeat } from '../src/heartbeat.ts';
import { LinkState } from '../src/link-state.ts';
import { MissingBundles } from '../src/missing.ts';
import { overviewOf } from '../src/overview.ts';
import { digestOf } from './bundles.ts';

const HOUR = 3_600_000;
const QUIET = 10_000;
const CONFIG = digestOf(Buffer.from('config'));

let ledger: ReceiverLedger;
let link: LinkState;
let health: Health;
let parts: AnswerParts;
let held: { code: string; detail: string }[];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
  vi.setSystemTime(1_800_000_000_000);
  ledger = new ReceiverLedger(':memory:');
  link = new LinkState();
  held = [];
  health = createHealth({ description: 'test' });
  parts = {
    ledger,
    link,
    queue: { health: () => Promise.resolve({ reachable: true, reasons: [] }) } as unknown as ImportQueue,
    channels: ['prod', 'lab'],
    missing: new MissingBundles(ledger, createJsonLogger('test', { write: () => undefined })),
    quietAfterMs: QUIET,
    limits: { cveDatabaseAgeMs: 72 * HOUR, queueAgeMs: HOUR, marginSymbols: 0, diskFree: 1 },
    disks: [['state', '/']],
    cveChannels: ['prod'],
    outbox: { unavailable: false },
    pipeline: { open: [], held },
    config: {},
  } as unknown as AnswerParts;
  addChecks(health, parts);
});
afterEach(() => {
  ledger.close();
  vi.useRealTimers();
});

async function check(name: string): Promise<CheckResult> {
  const found = (await health.report()).checks[name]?.[0];
  if (found === undefined) throw new Error(`no check ${name}`);
  return found;
}

const beat = (over: Partial<Heartbeat> = {}): Heartbeat => ({
  seconds: 1_800_000_000,
  state: 'idle',
  sequence: 0,
  head: null,
  config: CONFIG,
  faults: [],
  ...over,
});
const status = (accepted: number, lost = 0) =>
  ({ type: 'status', tsi: 1, numbers: { lost }, verdicts: { accepted }, stageNs: {} }) as const;
const publish = (sequence: number, version?: number): void => {
  const id = digestOf(Buffer.from(`bundle ${String(sequence)}`));
  ledger.received({ id, channel: 'prod', sequence, release: id, bytes: 1 });
  const versions = version === undefined ? [] : [{ type: 'cve-db', target: 'security/db\u202e', version }];
  ledger.publish(id, `name ${String(sequence)}`, versions, {});
};

describe('the freshness of the link', () => {
  it('is that of the youngest sign of life, data or heartbeat, of any channel', async () => {
    expect((await check('link:freshness')).status).toBe('fail');
    link.heartbeat('lab', beat());
    expect(await check('link:freshness')).toMatchObject({ status: 'pass', observedValue: 0, threshold: QUIET });
    vi.advanceTimersByTime(QUIET + 1);
    expect((await check('link:freshness')).status).toBe('fail');
    link.status(status(5));
    expect((await check('link:freshness')).status).toBe('pass');
    expect((await check('link:freshness-lab')).status).toBe('fail');
    vi.advanceTimersByTime(QUIET + 1);
    // The process lives, and nothing authentic comes.
    link.status(status(5));
    expect((await check('link:freshness')).status).toBe('fail');
  });
});

describe('what the sender says of itself', () => {
  it('is a warning here when it is not well, or is heard of no more', async () => {
    expect((await check('sender:health-prod')).status).toBe('warn');
    link.heartbeat('prod', beat());
    expect(await check('sender:health-prod')).toMatchObject({ status: 'pass', observedValue: 'idle' });
    link.heartbeat('prod', beat({ state: 'degraded', faults: ['send-refused', 'disk-low'] }));
    expect(await check('sender:health-prod')).toMatchObject({
      status: 'warn',
      output: 'the sender says: send-refused, disk-low; look at its page',
    });
    link.heartbeat('prod', beat());
    vi.advanceTimersByTime(QUIET + 1);
    expect((await check('sender:health-prod')).status).toBe('warn');
  });
});

describe('a bundle that is not whole', () => {
  it('is told of when nothing more comes of it, with what lacks and the ticket for it', async () => {
    const objects = [1, 2, 3].map((n) => ({ digest: digestOf(Buffer.from(String(n))) }));
    const bundle = (sequence: number, missing: number, stillMs: number, waits = false): unknown => ({
      transport: { statement: { channel: 'prod', sequence, objects } },
      missing: new Set(objects.slice(0, missing).map(({ digest }) => digest)),
      name: hostile(`name ${String(sequence)}\u202e`),
      ...{ waits, stillMs },
    });
    expect(await check('bundles:incomplete')).toMatchObject({ status: 'pass', observedValue: 0 });
    // Whole and being verified; coming; waiting for room.
    const fine = [bundle(1, 0, HOUR), bundle(2, 3, 60_000), bundle(3, 3, HOUR, true)];
    Object.assign(parts.pipeline, { open: fine });
    expect(await check('bundles:incomplete')).toMatchObject({ status: 'pass' });
    Object.assign(parts.pipeline, { open: [...fine, bundle(4, 2, 60_001), bundle(5, 1, HOUR)] });
    expect(await check('bundles:incomplete')).toMatchObject({
      status: 'warn',
      observedValue: 2,
      output:
        'nothing more comes: prod/4 (name 4\\u202e) lacks 2 of 3 objects, prod/5 (name 5\\u202e) lacks 1 of 3 objects; ' +
        'a later pass or a ticket ("sluice ticket prod/4") brings them',
    });
  });
});

describe('the FEC margin', () => {
  it('warns when what had to be repaired was close, and not for one such object, nor for what lost nothing', async () => {
    const margin = (worst: number, recovered: number): void =>
      link.margin({ type: 'margin', channel: 'prod', digest: CONFIG, worst, recovered });
    for (let i = 0; i < 50; i += 1) margin(0, 0);
    expect((await check('link:fec-margin')).status).toBe('pass');
    for (let i = 0; i < 5; i += 1) margin(6, 2);
    margin(0, 2);
    expect(await check('link:fec-margin')).toMatchObject({ status: 'pass', observedValue: 6, observedUnit: 'symbols' });
    for (let i = 0; i < 7; i += 1) margin(0, 9);
    expect(await check('link:fec-margin')).toMatchObject({ status: 'warn', observedValue: 0, threshold: 0 });
  });
});

describe('the receive buffer', () => {
  const told = (worstPauseMs: number, accepted: number, kernelDrops = 0): void => {
    link.status({
      type: 'status',
      tsi: 1,
      numbers: { worstPauseMs, kernelDrops },
      verdicts: { accepted },
      stageNs: {},
    });
    vi.advanceTimersByTime(1000);
  };

  it('must hold what comes at the highest rate while link pauses, 2304 bytes a datagram', async () => {
    expect((await check('link:receive-buffer')).status).toBe('pass');
    link.hello({ type: 'hello', protocol: 1, tsi: 1, io: 'native', receiveBuffer: 2_304_000 });
    told(100, 0);
    told(100, 10_000);
    told(100, 12_000);
    expect(await check('link:receive-buffer')).toMatchObject({ status: 'pass', threshold: 2_304_000 });
    told(101, 12_000);
    const found = await check('link:receive-buffer');
    expect(found).toMatchObject({ status: 'warn', observedValue: 2_304_000, threshold: 2_327_040 });
    expect(found.output).toContain('ReceiveBuffer=');
  });

  it('holds longer datagrams in more memory', async () => {
    link.hello({ type: 'hello', protocol: 1, tsi: 1, io: 'native', receiveBuffer: 2_304_000 });
    link.object('1-2-8896-4');
    told(100, 0);
    told(100, 10_000);
    expect(await check('link:receive-buffer')).toMatchObject({ status: 'warn', threshold: 1000 * 2 * 9006 });
  });

  it('is too small, or link too slow, where the kernel has dropped anything', async () => {
    told(0, 0);
    expect((await check('link:kernel-drops')).status).toBe('pass');
    told(0, 0, 3);
    expect(await check('link:kernel-drops')).toMatchObject({ status: 'warn', observedValue: 3 });
  });
});

describe('disks', () => {
  const ready = async (): Promise<string> => (await health.ready()).status;

  it('of link are named while their alarms come, the spool as a failure, the chunk log as a warning', async () => {
    link.status(status(1));
    expect(await ready()).toBe('pass');
    link.alarm('chunk-log-full', 'not recorded');
    expect(await check('link:chunk-log')).toMatchObject({ status: 'warn', output: 'chunk-log-full: not recorded' });
    expect(await ready()).toBe('warn');
    link.alarm('spool-io', 'EIO');
    expect(await check('link:spool')).toMatchObject({ status: 'fail', output: 'spool-io: EIO' });
    expect(await ready()).toBe('fail');
    vi.advanceTimersByTime(QUIET + 1);
    link.status(status(2));
    expect(await ready()).toBe('pass');
  });

  it('of the store are named by what they hold up', async () => {
    held.push({ code: 'store-full', detail: 'no room' });
    expect(await check('bundles:held')).toMatchObject({
      status: 'warn',
      observedValue: 1,
      output: 'store-full: no room',
    });
  });

  it('of the ledger are named until something is written again', async () => {
    vi.spyOn(ledger, 'fault', 'get').mockReturnValue(new OperationalError('ledger-io', 'look', { retryable: true }));
    expect(await check('ledger:writes')).toMatchObject({ status: 'fail', output: 'ledger-io: look' });
  });
});

describe('ages', () => {
  it('of the queue: a published bundle that waits too long', async () => {
    expect(await check('queue:age')).toMatchObject({ status: 'pass', observedValue: 0, threshold: 3600 });
    publish(1);
    vi.advanceTimersByTime(HOUR + 1000);
    expect(await check('queue:age')).toMatchObject({ status: 'warn', observedValue: 3601, observedUnit: 's' });
  });

  it('of the CVE database: the oldest, by its version', async () => {
    expect(await check('cve-db:age')).toMatchObject({ status: 'warn', output: 'no CVE database has come yet' });
    publish(1, 1_800_000_000 - 24 * 3600);
    expect(await check('cve-db:age')).toMatchObject({
      status: 'pass',
      observedValue: 24,
      observedUnit: 'h',
      threshold: 72,
    });
    vi.advanceTimersByTime(49 * HOUR);
    const { status: found, output = '' } = await check('cve-db:age');
    expect(found).toBe('warn');
    expect(output).toContain('security/db\\u202e of channel prod is of 2027-01-14T');
    publish(2, 1_800_000_000 + 48 * 3600);
    expect((await check('cve-db:age')).status).toBe('pass');
    // A version that is no time at all is as old as time.
    const id = digestOf(Buffer.from('odd'));
    ledger.received({ id, channel: 'prod', sequence: 3, release: id, bytes: 1 });
    ledger.publish(id, 'odd', [{ type: 'cve-db', target: 'other/db', version: 3 }], {});
    expect((await check('cve-db:age')).status).toBe('warn');
  });
});

describe('the page', () => {
  const shown = () => overviewOf(parts, health, new Pace());

  it('says of the link what is so', async () => {
    const state = async (): Promise<string> => {
      const { level, state: words } = (await shown()).link;
      return `${level}: ${words}`;
    };
    expect(await state()).toBe('bad: Link process down');
    link.status(status(0));
    expect(await state()).toBe('bad: Nothing received');
    link.heartbeat('prod', beat());
    expect(await state()).toBe('warn: Channel silent');
    link.heartbeat('lab', beat());
    expect(await state()).toBe('good: Link up');
    vi.advanceTimersByTime(4000);
    link.status(status(1));
    expect(await state()).toBe('good: Link up');
    vi.advanceTimersByTime(QUIET);
    link.status(status(1));
    expect(await state()).toBe('bad: Link down');
    vi.advanceTimersByTime(6000);
    expect(await state()).toBe('bad: Link process down');
  });

  it('tells the rate as soon as a name in the spool tells how long symbols are, and the losses with it', async () => {
    link.status(status(100));
    link.status(status(190, 10));
    expect((await shown()).rates).toEqual({
      ...{ stepSeconds: 1, unit: 'datagrams/s', carried: [90], lost: [10], lostShare: 0.1 },
    });
    link.object(`${'a'.repeat(64)}-1000-1408-200`);
    expect((await shown()).rates).toMatchObject({ unit: 'bit/s', carried: [90 * (1408 + 110) * 8] });
  });

  it('names what is missing, with the ticket where there are tickets', async () => {
    link.heartbeat('prod', beat({ sequence: 3 }));
    publish(1);
    ledger.announce('prod', 4, null, 1);
    expect((await shown()).missing).toEqual([
      { channel: 'prod', sequences: '2 to 4', names: [], count: 3, command: '' },
    ]);
    parts = { ...parts, config: { tickets: {} } as unknown as AnswerParts['config'] };
    expect((await shown()).missing[0]?.command).toBe('sluice ticket prod/2');
  });

  it('tells the clock of the other side, and what it says is wrong with it', async () => {
    link.heartbeat('prod', beat({ seconds: 1_800_000_000 - 120, state: 'degraded', faults: ['queue-old'] }));
    const { level, facts } = (await shown()).far;
    expect(level).toBe('warn');
    expect(facts).toContainEqual({ name: 'Its clock against ours', value: '2 min behind', level: 'warn' });
    expect(facts).toContainEqual({ name: 'It says', value: 'queue-old', level: 'warn' });
  });

  it('shows the latest refusals with their reasons, as text of a bounded length', async () => {
    const id = digestOf(Buffer.from('bad'));
    ledger.quarantine({ id, channel: 'prod' }, 'gate-refused', `<b>\u001b[2J${'x'.repeat(10_000)}`);
    const [refusal] = (await shown()).refusals;
    expect(refusal).toMatchObject({ what: 'prod (no number)', code: 'gate-refused' });
    expect(refusal?.detail.length).toBeLessThan(2100);
    expect(refusal?.detail.startsWith('<b>\u001b[2Jxxx')).toBe(true);
    expect(refusal?.detail.endsWith('x…')).toBe(true);
  });
});
