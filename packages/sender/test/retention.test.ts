import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createJsonLogger } from '@sluice/base';
import { type SealedBundle, SenderLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import { openFsStore } from '@sluice/store';
import { describe, expect, it, onTestFinished } from 'vitest';
import { StagingRetention, type StagingRules } from '../src/retention.ts';
import { StagingLock } from '../src/staging-lock.ts';

const KIB = 1024;
const DAY = 86_400_000;
const RULES: StagingRules = { storeForMs: 30 * DAY, storeBytes: 2 ** 40, timeToLive: 2 };
const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A ledger and a staging store with sealed bundles of the given content. */
async function staging() {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-staging-'));
  const ledger = new SenderLedger(join(dir, 'ledger.sqlite'));
  onTestFinished(() => {
    ledger.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const store = await openFsStore(join(dir, 'store'));
  const lock = new StagingLock();
  const put = async (bytes: Uint8Array): Promise<Digest> => {
    await store.put(digestOf(bytes), bytes.length, bytes);
    return digestOf(bytes);
  };
  const seal = async (content: readonly Buffer[], channel = 'prod'): Promise<SealedBundle> => {
    const release = randomBytes(100);
    for (const bytes of [...content, release]) await put(bytes);
    const bundle = ledger.sealBundle({
      ...{ channel, source: release.toString('hex'), name: 'b', release: digestOf(release), releaseSize: 100 },
      objects: content.map((bytes) => ({
        digest: digestOf(bytes),
        size: bytes.length,
        contentType: 'application/octet-stream',
      })),
      bytes: content.reduce((sum, { length }) => sum + length, 0),
      make: (sequence) => {
        const envelope = Buffer.from(`envelope ${channel} ${sequence}`);
        return { id: digestOf(envelope), envelope };
      },
    });
    await put(bundle.envelope);
    return bundle;
  };
  const sent = (...bundles: readonly SealedBundle[]): void => {
    for (const { id } of bundles) ledger.passDone(id, 0, 1);
  };
  const retention = ({
    days = 0,
    moving = [],
    ...rules
  }: Partial<StagingRules> & { readonly days?: number; readonly moving?: readonly string[] } = {}) =>
    new StagingRetention({
      ...{ ledger, store, lock, logger: createJsonLogger('test', { write: () => undefined }) },
      rules: { ...RULES, ...rules },
      moving: () => moving,
      now: () => Date.now() + days * DAY,
    });
  const has = async (bytes: Uint8Array): Promise<boolean> => (await store.stat(digestOf(bytes))) !== undefined;
  return { ledger, store, lock, seal, sent, retention, has };
}

const blob = (): Buffer => randomBytes(300 * KIB);

describe('the content of a bundle', () => {
  it('goes when it is sent no more and old, but for what a bundle that lives needs', async () => {
    const { ledger, seal, sent, retention, has } = await staging();
    const [own, shared, second, third] = [blob(), blob(), blob(), blob()];
    const first = await seal([own, shared]);
    sent(first, await seal([second]), await seal([third, shared]));
    expect(await retention({ days: 29 }).sweep()).toBe(0);
    expect(await retention({ days: 31 }).sweep()).toBe(1);
    expect(await Promise.all([own, shared, second, third, first.envelope].map(has))).toEqual([
      false,
      true,
      true,
      true,
      false,
    ]);
    expect(ledger.staged().map(({ sequence }) => sequence)).toEqual([2, 3]);
    expect(ledger.events.about(first.id).at(-1)).toMatchObject({ kind: 'dropped', body: { why: 'age' } });
    expect(await retention({ days: 31 }).sweep()).toBe(0);
  });

  it('stays while a full pass is to go, while the bundle lives, and while something of it leaves', async () => {
    const { seal, sent, retention } = await staging();
    const [first, second, third] = [await seal([blob()]), await seal([blob()]), await seal([blob()])];
    sent(second, third);
    expect(await retention({ days: 99, storeBytes: 1 }).sweep()).toBe(0);
    sent(first);
    expect(await retention({ days: 99, moving: [first.id] }).sweep()).toBe(0);
    expect(await retention({ days: 99, timeToLive: 3 }).sweep()).toBe(0);
    expect(await retention({ days: 99 }).sweep()).toBe(1);
  });

  it('goes earlier when the store is larger than it may be, or its disk is short, the oldest first', async () => {
    const { ledger, store, seal, sent, retention } = await staging();
    for (let i = 0; i < 6; i += 1) sent(await seal([blob()]));
    const usage = await store.usage();
    expect(await retention({ storeBytes: usage }).sweep()).toBe(0);
    expect(await retention({ storeBytes: usage - 1 }).sweep()).toBe(1);
    expect(await retention().sweep(301 * KIB)).toBe(2);
    expect(ledger.staged().map(({ sequence }) => sequence)).toEqual([4, 5, 6]);
    expect(await retention({ storeBytes: 1 }).sweep()).toBe(1);
    expect(ledger.staged().map(({ sequence }) => sequence)).toEqual([5, 6]);
  });

  it('of each channel lives by the numbers of that channel', async () => {
    const { ledger, seal, sent, retention } = await staging();
    sent(await seal([blob()], 'lab'), await seal([blob()]), await seal([blob()]), await seal([blob()]));
    expect(await retention({ days: 99 }).sweep()).toBe(1);
    expect(ledger.staged().map(({ channel }) => channel)).toEqual(['lab', 'prod', 'prod']);
  });

  it('is not removed under an input that is being taken in and relies on it', async () => {
    const { lock, seal, sent, retention, has } = await staging();
    const relied = blob();
    sent(await seal([relied]), await seal([blob()]), await seal([blob()]));
    const begun = Promise.withResolvers<undefined>();
    const started = Promise.withResolvers<undefined>();
    const taking = lock.takeIn(async () => {
      started.resolve(undefined);
      await begun.promise;
      return seal([relied]);
    });
    await started.promise;
    const sweeping = retention({ days: 31 }).sweep();
    const after = lock.takeIn(() => has(relied));
    begun.resolve(undefined);
    await taking;
    expect(await sweeping).toBe(2);
    expect(await after).toBe(true);
  });
});
