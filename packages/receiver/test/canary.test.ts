import { encodeReceipt, type Receipt } from '@sluice/bundle';
import { createMetrics } from '@sluice/chassis';
import { ReceiverLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import { signEnvelope } from '@sluice/trust';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { addCanaryMetrics, Canary, canaryCheck, canaryView } from '../src/canary.ts';
import { LinkState } from '../src/link-state.ts';
import { digestOf, signers } from './bundles.ts';

const RELEASE = digestOf(Buffer.from('the canary'));
/** The clock of the sender when a heartbeat says so: years from ours, since nothing goes by ours. */
const SEALED = 1_600_000_000;

let ledger: ReceiverLedger;
let link: LinkState;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
  vi.setSystemTime(1_800_000_000_000);
  ledger = new ReceiverLedger(':memory:');
  link = new LinkState();
});
afterEach(() => {
  ledger.close();
  vi.useRealTimers();
});

const open = (over: { readonly site?: string } = {}): Canary =>
  new Canary({ channel: 'prod', release: RELEASE, maxAge: 60_000, ...over }, ledger, link);

const heard = (seconds: number): void =>
  link.heartbeat('prod', { seconds, state: 'idle', sequence: 0, head: null, config: RELEASE, faults: [] });

const idOf = (sequence: number): Digest => digestOf(Buffer.from(`bundle ${String(sequence)}`));

/** A bundle came, and was published. */
function came(sequence: number, seconds: number, release = RELEASE): void {
  const id = idOf(sequence);
  ledger.received({ id, channel: 'prod', sequence, release, bytes: 1, seconds });
  ledger.publish(id, 'canary', [], {});
}

/** Its receipt names these sites for each of two artifacts. */
function imported(
  sequence: number,
  sites: readonly (readonly string[])[] = [
    ['a', 'b'],
    ['a', 'b'],
  ],
): void {
  const bundle = idOf(sequence);
  const receipt: Receipt = {
    ...{ bundle, channel: 'prod', sequence, result: 'imported', code: 'ok', seconds: 1 },
    artifacts: sites.map((each, i) => ({
      name: `artifact ${String(i)}`,
      digest: RELEASE,
      sites: each.map((site) => ({ site, digest: RELEASE })),
    })),
  };
  const envelope = signEnvelope(encodeReceipt(receipt), [signers.second]);
  ledger.recordReceipt(bundle, 'imported', 'ok', envelope, link.senderSeconds('prod'));
}

describe('the age of the canary', () => {
  it('is time of the sender, from its seal, and grows by our uptime while the sender is silent', () => {
    const canary = open();
    expect(canary.look()).toEqual({ limitSeconds: 60, why: 'none has been imported yet' });
    came(1, SEALED);
    heard(SEALED + 9);
    expect(canary.look().ageSeconds).toBeUndefined();
    imported(1);
    expect(canary.look()).toEqual({ limitSeconds: 60, ageSeconds: 9, tookSeconds: 9, sequence: 1, sites: ['a', 'b'] });
    vi.advanceTimersByTime(30_000);
    expect(canary.look()).toMatchObject({ ageSeconds: 39, tookSeconds: 9 });
    heard(SEALED + 30);
    expect(canary.look().ageSeconds).toBe(30);
    // Our clock has no part in it.
    vi.setSystemTime(0);
    expect(canary.look().ageSeconds).toBe(30);
  });

  it('is that of the latest one that was imported, whatever came or was refused since, and of no other release', () => {
    const canary = open();
    heard(SEALED + 100);
    came(1, SEALED);
    imported(1);
    came(2, SEALED + 50);
    expect(canary.look()).toMatchObject({ sequence: 1, ageSeconds: 100 });
    imported(2);
    came(3, SEALED + 60, digestOf(Buffer.from('another release')));
    imported(3);
    came(4, SEALED + 70);
    ledger.recordReceipt(idOf(4), 'failed', 'harbor-quota', Buffer.from('{}'));
    expect(canary.look()).toMatchObject({ sequence: 2, ageSeconds: 50 });
  });

  it('is never below 0, and is not known while the sender has not been heard', () => {
    came(1, SEALED);
    imported(1);
    const canary = open();
    expect(canary.look()).toMatchObject({ sequence: 1, why: expect.stringContaining('not heard') as unknown });
    expect(canary.look().tookSeconds).toBeUndefined();
    heard(SEALED - 5);
    expect(canary.look().ageSeconds).toBe(0);
  });

  it('counts only where every artifact was proven at the site that is named', () => {
    heard(SEALED + 5);
    came(1, SEALED);
    imported(1, [['a', 'b'], ['a']]);
    expect(open().look()).toMatchObject({ ageSeconds: 5, sites: ['a'] });
    expect(open({ site: 'b' }).look()).toEqual({
      limitSeconds: 60,
      why: 'the receipt of bundle 1 proves no digest at site b: it names a',
    });
    came(2, SEALED + 1);
    imported(2);
    expect(open({ site: 'b' }).look()).toMatchObject({ ageSeconds: 4, sites: ['a', 'b'] });
  });
});

describe('what is told of the canary', () => {
  const told = async (canary: Canary) => ({ check: await canaryCheck(canary).check(), page: canaryView(canary) });

  it('warns when it is too old or not known, and says the limit', async () => {
    const canary = open();
    expect(await told(canary)).toMatchObject({
      check: {
        status: 'warn',
        threshold: 60,
        output: 'the age of the canary is not known: none has been imported yet',
      },
      page: { level: 'warn', age: 'not known' },
    });
    came(1, SEALED);
    heard(SEALED + 41);
    imported(1);
    heard(SEALED + 60);
    expect(await told(canary)).toEqual({
      check: { status: 'pass', threshold: 60, observedValue: 60, observedUnit: 's' },
      page: {
        ...{ level: 'good', age: '60 s' },
        detail: 'bundle 1 came the whole way, to a and b, in 41 s; the limit is 60 s',
      },
    });
    vi.advanceTimersByTime(1000);
    const { check, page } = await told(canary);
    expect(check).toMatchObject({ status: 'warn', observedValue: 61 });
    expect(check.output).toBe('nothing has come the whole way for 61 s: sender, link, receiver or importer');
    expect(page).toMatchObject({ level: 'warn', age: '61 s' });
  });

  it('has its numbers in the metrics only where they are known: 0 would be young', async () => {
    const text = async (canary: Canary | undefined): Promise<string[]> => {
      const metrics = createMetrics();
      addCanaryMetrics(metrics, canary);
      return (await metrics.text()).split('\n').filter((line) => line.startsWith('sluice_canary'));
    };
    expect(await text(undefined)).toEqual([]);
    expect(await text(open())).toEqual(['sluice_canary_limit_seconds{channel="prod"} 60']);
    came(1, SEALED);
    heard(SEALED + 7);
    imported(1);
    expect(await text(open())).toEqual([
      'sluice_canary_age_seconds{channel="prod"} 7',
      'sluice_canary_limit_seconds{channel="prod"} 60',
      'sluice_canary_transit_seconds{channel="prod"} 7',
    ]);
  });
});
