import { describe, expect, it } from 'vitest';
import { OperationalError, refuse } from '@sluice/ports';
import { startWorker } from '@sluice/queue';
import { missing } from '../../../test/harbor/needs.ts';
import { ImportRetry, type ImportRetryParts } from '../src/import-retry.ts';
import { bundleOf, logger, receiptOf, TIMEOUT_MS, until, World } from './outbox-world.ts';

const absent = missing('redis-server', 'redis-cli');
const ASKER = { uid: 1001, reason: 'Harbor is back' };
const HOUR_MS = 3_600_000;

const retryOf = (world: World, over: Partial<ImportRetryParts> = {}): ImportRetry =>
  new ImportRetry({
    ...{ ledger: world.ledger, queue: world.queue, outbox: world.outbox, logger },
    stands: () => ({ ok: true, value: undefined }),
    ...over,
  });

const asked = (world: World, subject: string): unknown[] =>
  world.ledger.events.about(subject).flatMap(({ kind, body }) => (kind === 'control' ? [body] : []));

describe.skipIf(absent !== undefined)(
  `sluice retry${absent === undefined ? '' : `: ${absent} is not installed`}`,
  { timeout: TIMEOUT_MS },
  () => {
    const [one, two, three] = [bundleOf(1), bundleOf(2), bundleOf(3)];

    it('tries now what waits for its next attempt: one, or all, and records who asked', async () => {
      const world = await World.create(3);
      const attempts: string[] = [];
      let mended = false;
      const worker = startWorker({
        redis: { url: world.url },
        handle: ({ bundle = one }) => {
          attempts.push(bundle);
          if (!mended) throw new OperationalError('store-io', 'away', { retryable: true });
          return Promise.resolve(receiptOf(bundle));
        },
        pace: () => HOUR_MS,
      });
      await world.outbox.reconcile();
      await until(async () => (await world.states(one, two, three)).every((state) => state === 'delayed'));
      expect(attempts).toHaveLength(3);
      const retry = retryOf(world);
      mended = true;
      expect(await retry.now('prod/1', ASKER)).toEqual({ ok: true, value: { bundles: [one], others: 0 } });
      await until(async () => (await world.states(one))[0] === 'completed');
      expect(await world.states(two, three)).toEqual(['delayed', 'delayed']);
      await world.outbox.reconcile();
      expect(world.state(one)).toBe('imported');
      expect(await retry.now(undefined, ASKER)).toEqual({ ok: true, value: { bundles: [two, three], others: 0 } });
      await until(async () => (await world.states(two, three)).every((state) => state === 'completed'));
      await worker.close(1000);
      for (const bundle of [one, two, three]) expect(asked(world, bundle)).toEqual([{ action: 'retry', ...ASKER }]);
    });

    it('does once more what the importer gave up, and takes the new result, not the old one', async () => {
      const world = await World.create(1);
      await world.outbox.reconcile();
      await world.work((bundle) => receiptOf(bundle, { result: 'failed', code: 'registry-refused' }), [one]);
      await world.outbox.reconcile();
      expect(world.ledger.bundle(one)).toMatchObject({ state: 'failed', code: 'registry-refused' });
      expect(await retryOf(world).now(one, ASKER)).toEqual({ ok: true, value: { bundles: [one], others: 0 } });
      expect(world.ledger.bundle(one)).toMatchObject({ state: 'queued', code: '' });
      expect(await world.states(one)).toEqual(['waiting']);
      await world.work(receiptOf, [one]);
      await world.outbox.reconcile();
      expect(world.state(one)).toBe('imported');
      expect(asked(world, one)).toEqual([{ action: 'retry', ...ASKER }]);
    });

    it('leaves everything else as it is, and says what helps there', async () => {
      const world = await World.create(2);
      world.ledger.received({ id: three, channel: 'prod', sequence: 3, release: three, bytes: 1 });
      await world.outbox.reconcile();
      const retry = retryOf(world);
      // In the queue already, with nothing to wait for.
      expect(await retry.now(two, ASKER)).toEqual({ ok: true, value: { bundles: [], others: 1 } });
      await world.work(receiptOf, [one, two]);
      await world.outbox.reconcile();
      for (const [name, code, words] of [
        [one, 'retry-needless', 'is imported'],
        [three, 'retry-needless', 'sluice ticket'],
        ['prod/9', 'bundle-unknown', 'prod/9'],
        [7, 'bundle-unknown', 'so named'],
      ] as const) {
        const answer = await retry.now(name, ASKER);
        expect(answer).toMatchObject({ ok: false, error: { code } });
        expect(JSON.stringify(answer)).toContain(words);
      }
      expect(await retry.now(undefined, ASKER)).toEqual({ ok: true, value: { bundles: [], others: 0 } });
    });

    it('does not bring back what is not kept any more, nor what does not hold any more', async () => {
      const world = await World.create(2);
      await world.outbox.reconcile();
      await world.work((bundle) => receiptOf(bundle, { result: 'failed', code: 'registry-refused' }), [one, two]);
      await world.outbox.reconcile();
      world.ledger.keeping.dropped(one, {});
      expect(await retryOf(world).now(one, ASKER)).toMatchObject({ ok: false, error: { code: 'retry-needless' } });
      const revoked = retryOf(world, { stands: () => refuse('key-revoked', 'the key was revoked') });
      expect(await revoked.now(two, ASKER)).toMatchObject({ ok: false, error: { code: 'key-revoked' } });
      expect([world.state(one), world.state(two)]).toEqual(['failed', 'failed']);
      expect(world.ledger.outbox()).toEqual([]);
    });

    it('changes nothing while Redis is away', async () => {
      const world = await World.create(1);
      await world.outbox.reconcile();
      await world.work((bundle) => receiptOf(bundle, { result: 'failed', code: 'registry-refused' }), [one]);
      await world.outbox.reconcile();
      await world.stopRedis();
      await expect(retryOf(world).now(one, ASKER)).rejects.toMatchObject({ code: 'queue-unavailable' });
      expect(world.state(one)).toBe('failed');
    });
  },
);
