import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Digest, ReceiverAlarm } from '@sluice/ports';
import { jobIdOf, startWorker } from '@sluice/queue';
import { loadSigner, loadVerifier, signEnvelope } from '@sluice/trust';
import { missing } from '../../../test/harbor/needs.ts';
import { bundleOf, importer, receiptOf, stranger, TIMEOUT_MS, until, World } from './outbox-world.ts';

const absent = missing('redis-server', 'redis-cli');

describe.skipIf(absent !== undefined)(
  `the outbox${absent === undefined ? '' : `: ${absent} is not installed`}`,
  { timeout: TIMEOUT_MS },
  () => {
    const [one, two, three] = [bundleOf(1), bundleOf(2), bundleOf(3)];

    it('queues what is published, takes its receipt, and is empty then', async () => {
      const world = await World.create(2);
      await world.outbox.reconcile();
      expect(await world.states(one, two)).toEqual(['waiting', 'waiting']);
      expect([world.state(one), world.state(two)]).toEqual(['queued', 'queued']);
      await world.work(receiptOf, [one, two]);
      await world.outbox.reconcile();
      expect([world.state(one), world.state(two)]).toEqual(['imported', 'imported']);
      expect(world.ledger.outbox()).toEqual([]);
      expect(world.ledger.receipt(one)).not.toEqual(world.ledger.receipt(two));
      expect(world.alarms).toEqual([]);
    });

    it('holds back while a person has it paused, over restarts of us and of Redis, and goes on when told', async () => {
      const world = await World.create(2);
      const actor = { uid: 1001, reason: 'maintenance' };
      await world.outbox.reconcile();
      world.outbox.pause(true, actor);
      await world.outbox.reconcile();
      // A worker is there, and takes nothing; what comes now is not queued either.
      const took: Digest[] = [];
      const worker = startWorker({
        redis: { url: world.url },
        handle: (job) => {
          took.push(job.bundle!);
          return Promise.resolve(receiptOf(job.bundle!));
        },
        pace: () => 1,
      });
      await until(() => Promise.resolve(worker.connected()));
      world.ledger.received({ id: three, channel: 'prod', sequence: 3, release: three, bytes: 1 });
      world.ledger.publish(three, 'b', [], {});
      world.flush();
      world.begin();
      expect(world.outbox.paused).toBe(true);
      await world.outbox.reconcile();
      await world.outbox.reconcile();
      expect(await world.states(one, two, three)).toEqual(['absent', 'absent', 'absent']);
      expect(world.state(three)).toBe('published');

      world.outbox.pause(false, actor);
      await until(async () => (await world.states(one, two, three)).every((state) => state === 'completed'));
      await worker.close(1000);
      expect(took.toSorted()).toEqual([one, two, three].toSorted());
      const entries = world.ledger.events
        .about('imports-paused')
        .map(({ body }) => [body.action, body.uid, body.reason]);
      expect(entries).toEqual([
        ['pause', 1001, 'maintenance'],
        ['resume', 1001, 'maintenance'],
      ]);
    });

    it('takes back what waits and does not hold any more, its job too, also after a crash in between', async () => {
      const world = await World.create(3);
      await world.outbox.reconcile();
      const refusal = { code: 'key-revoked', detail: 'the key was revoked' } as const;
      const stands = (bundle: Digest) =>
        bundle === two ? ({ ok: true, value: undefined } as const) : ({ ok: false, error: refusal } as const);
      world.begin({ stands });
      expect(world.outbox.withdraw()).toEqual([one, three]);
      await world.outbox.reconcile();
      expect(await world.states(one, two, three)).toEqual(['absent', 'waiting', 'absent']);
      expect([world.state(one), world.state(two), world.state(three)]).toEqual([
        'quarantined',
        'queued',
        'quarantined',
      ]);
      expect(world.ledger.bundle(one)).toMatchObject({ code: 'key-revoked' });
      // As after a crash: in the ledger it is withdrawn, in Redis its job waits.
      await world.queue.enqueue(one);
      await world.begin({ stands }).reconcile();
      expect(await world.states(one)).toEqual(['absent']);
      // An importer that had it in hand says that it did it: that is how it is.
      world.outbox.completed(jobIdOf(three), receiptOf(three));
      expect(world.state(three)).toBe('imported');
      expect(world.alarms).toEqual([]);
    });

    it('believes no receipt of a key that was revoked', async () => {
      const world = await World.create(1);
      const { keyid } = loadVerifier(importer.publicPem);
      world.begin({ isRevoked: (key) => key === keyid });
      await world.outbox.reconcile();
      world.outbox.completed(jobIdOf(one), receiptOf(one));
      expect([world.state(one), world.alarms]).toEqual(['queued', ['receipt-forged']]);
    });

    it('queues again what Redis lost, whether it forgot, came back empty, or was away', async () => {
      const world = await World.create(2);
      await world.outbox.reconcile();
      world.flush();
      expect(await world.states(one, two)).toEqual(['absent', 'absent']);
      await world.outbox.reconcile();
      expect(await world.states(one, two)).toEqual(['waiting', 'waiting']);

      await world.stopRedis();
      world.ledger.received({ id: three, channel: 'prod', sequence: 3, release: three, bytes: 1 });
      world.ledger.publish(three, 'b', [], {});
      await world.outbox.reconcile();
      expect(world.outbox.unavailable).toBe(true);
      expect(world.state(three)).toBe('published');
      await world.emptyRedis();
      await world.outbox.reconcile();
      expect(world.outbox.unavailable).toBe(false);
      expect(await world.states(one, two, three)).toEqual(['waiting', 'waiting', 'waiting']);
      expect(world.state(three)).toBe('queued');
    });

    it('takes a receipt that came while the receiver was not there, after a restart', async () => {
      const world = await World.create(1);
      await world.outbox.reconcile();
      await world.work(receiptOf, [one]);
      expect(world.state(one)).toBe('queued');
      await world.begin().reconcile();
      expect(world.state(one)).toBe('imported');
    });

    it('believes no result that no importer signed for this bundle: an alarm, and the job is queued again', async () => {
      const forged: [string, ReceiverAlarm][] = [
        ['', 'receipt-malformed'],
        ['imported', 'receipt-malformed'],
        [receiptOf(one, {}, stranger.privatePem), 'receipt-forged'],
        [receiptOf(two), 'receipt-forged'],
        [
          Buffer.from(signEnvelope(Buffer.from('{}'), [loadSigner(importer.privatePem)])).toString(),
          'receipt-malformed',
        ],
      ];
      for (const [receipt, alarm] of forged) {
        const world = await World.create(1);
        await world.outbox.reconcile();
        await world.work(() => receipt, [one]);
        await world.outbox.reconcile();
        expect(world.alarms).toEqual([alarm]);
        expect(world.state(one)).toBe('queued');
        expect(await world.states(one)).toEqual(['waiting']);
        expect(world.ledger.outbox().map(({ bundle }) => bundle)).toEqual([one]);
      }
    });

    it('is not kept busy by somebody who forges on and on: each time it waits longer, and then takes the true one', async () => {
      vi.useFakeTimers({ toFake: ['performance'] });
      onTestFinished(() => void vi.useRealTimers());
      const world = await World.create(1);
      await world.outbox.reconcile();
      const forge = (): Promise<void> => world.work(() => 'forged', [one]);
      await forge();
      await world.outbox.reconcile();
      await forge();
      for (const [n, seconds] of [10, 20, 40].entries()) {
        vi.advanceTimersByTime(seconds * 1000 - 1);
        await world.outbox.reconcile();
        expect(await world.states(one)).toEqual(['completed']);
        expect(world.alarms).toHaveLength(n + 1);
        vi.advanceTimersByTime(1);
        await world.outbox.reconcile();
        expect(world.alarms).toHaveLength(n + 2);
        await forge();
      }
      // Never longer than ten minutes.
      for (let n = 0; n < 8; n += 1) {
        vi.advanceTimersByTime(600_000);
        await world.outbox.reconcile();
        expect(await world.states(one)).toEqual(['waiting']);
        if (n < 7) await forge();
      }
      await world.work(receiptOf, [one]);
      vi.advanceTimersByTime(600_000);
      await world.outbox.reconcile();
      expect(world.state(one)).toBe('imported');
    });

    it('a refusal that the importer signed ends the bundle, with its code and an alarm', async () => {
      const world = await World.create(2);
      await world.outbox.reconcile();
      const answers = { [one]: ['refused', 'digest-mismatch'], [two]: ['failed', 'registry-refused'] } as const;
      await world.work(
        (bundle) => {
          const [result, code] = answers[bundle] ?? ['failed', ''];
          return receiptOf(bundle, { result, code });
        },
        [one, two],
      );
      await world.outbox.reconcile();
      expect(world.ledger.bundle(one)).toMatchObject({ state: 'failed', code: 'digest-mismatch' });
      expect(world.ledger.bundle(two)).toMatchObject({ state: 'failed', code: 'registry-refused' });
      expect(world.alarms).toEqual(['import-refused', 'import-refused']);
      expect(world.ledger.outbox()).toEqual([]);
      // What lies in the store may not be what it was.
      expect(world.doubted).toEqual([one]);
    });

    it('a bundle that was published again is imported again, whatever Redis has of the first time', async () => {
      const world = await World.create(1);
      await world.outbox.reconcile();
      const first = receiptOf(one, { result: 'refused', code: 'digest-mismatch' });
      await world.work(() => first, [one]);
      await world.outbox.reconcile();
      world.ledger.keeping.reopen(one, 'lost', {});
      world.ledger.publish(one, 'b', [], {});
      world.outbox.completed(jobIdOf(one), first);
      expect(world.state(one)).toBe('published');
      await world.outbox.reconcile();
      expect([world.state(one), await world.states(one)]).toEqual(['queued', ['waiting']]);
      await world.work(receiptOf, [one]);
      await world.outbox.reconcile();
      expect(world.state(one)).toBe('imported');
    });

    it('a result of before a bundle was published again is none, and a job of before is waited for', async () => {
      const world = await World.create(1);
      await world.outbox.reconcile();
      // The store was found damaged while the importer had the job.
      world.ledger.keeping.reopen(one, 'lost', {});
      const refusal = receiptOf(one, { result: 'refused', code: 'release-missing' });
      await world.work(() => refusal, [one]);
      world.outbox.completed(jobIdOf(one), refusal);
      expect(world.state(one)).toBe('receiving');
      world.ledger.publish(one, 'b', [], {});
      world.outbox.completed(jobIdOf(one), refusal);
      await world.outbox.reconcile();
      expect([world.state(one), await world.states(one)]).toEqual(['queued', ['waiting']]);

      let end = (): void => undefined;
      const ended = new Promise<void>((resolve) => (end = resolve));
      const worker = startWorker({ redis: { url: world.url }, handle: () => ended.then(() => refusal), pace: () => 1 });
      await until(async () => (await world.states(one))[0] === 'active');
      world.ledger.keeping.reopen(one, 'lost again', {});
      world.ledger.publish(one, 'b', [], {});
      await world.outbox.reconcile();
      expect([world.state(one), await world.states(one)]).toEqual(['published', ['active']]);
      end();
      await until(async () => (await world.states(one))[0] === 'completed');
      await worker.close(1000);
      await world.outbox.reconcile();
      expect([world.state(one), await world.states(one)]).toEqual(['queued', ['waiting']]);
      await world.work(receiptOf, [one]);
      await world.outbox.reconcile();
      expect(world.state(one)).toBe('imported');
    });

    it('has the store looked at when an importer cannot even read the statements', async () => {
      const world = await World.create(1);
      await world.outbox.reconcile();
      await world.work(() => 'refused statement-missing', [one]);
      await world.outbox.reconcile();
      expect(world.doubted).toEqual([one]);
    });

    it('what Redis tells of bundles that are not ours, or are over, changes nothing', async () => {
      const world = await World.create(1);
      await world.outbox.reconcile();
      const nobody = bundleOf(99);
      world.outbox.completed(jobIdOf(nobody), receiptOf(nobody));
      world.outbox.completed('../../etc/passwd', receiptOf(one));
      world.ledger.received({ id: two, channel: 'prod', sequence: 2, release: two, bytes: 1 });
      world.outbox.completed(jobIdOf(two), receiptOf(two));
      expect(world.alarms).toEqual(['receipt-forged', 'receipt-forged', 'receipt-forged']);
      expect([world.state(nobody), world.state(one), world.state(two)]).toEqual([undefined, 'queued', 'receiving']);

      world.outbox.completed(jobIdOf(one), receiptOf(one));
      expect(world.state(one)).toBe('imported');
      // An older, true refusal that somebody kept does not take back what is imported.
      world.outbox.completed(jobIdOf(one), receiptOf(one, { result: 'failed', code: 'registry-refused' }));
      expect(world.state(one)).toBe('imported');
      expect(world.alarms).toHaveLength(3);
    });
  },
);
