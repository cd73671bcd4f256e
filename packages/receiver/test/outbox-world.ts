import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { createJsonLogger } from '@sluice/base';
import { encodeReceipt, type Receipt } from '@sluice/bundle';
import { ReceiverLedger } from '@sluice/ledger';
import type { Digest, ReceiverAlarm } from '@sluice/ports';
import { type ImportQueue, openQueue, startWorker } from '@sluice/queue';
import { loadSigner, loadVerifier, makeKeyPair, signEnvelope } from '@sluice/trust';
import { freePort, RedisServer } from '../../queue/test/redis.ts';
import { CatchUp } from '../src/catch-up.ts';
import { Outbox, type OutboxParts } from '../src/outbox.ts';
import { digestOf } from './bundles.ts';
import { scratch } from './receiver.ts';

export const importer = makeKeyPair('ECDSA-P256');
export const stranger = makeKeyPair('Ed25519');
export const logger = createJsonLogger('test', { write: () => undefined });
export const TIMEOUT_MS = 60_000;

export const bundleOf = (n: number): Digest => digestOf(Buffer.from(`bundle ${n}`));
export const receiptOf = (bundle: Digest, over: Partial<Receipt> = {}, pem = importer.privatePem): string => {
  const receipt = {
    bundle,
    channel: 'prod',
    sequence: 1,
    result: 'imported',
    code: 'ok',
    artifacts: [],
    seconds: 1,
  } as const;
  return Buffer.from(signEnvelope(encodeReceipt({ ...receipt, ...over }), [loadSigner(pem)])).toString();
};

/** Waits by the real clock, whatever the test makes of its own. */
export async function until(check: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + TIMEOUT_MS / 2;
  while (!(await check())) {
    if (Date.now() > end) throw new Error('waited too long');
    await delay(10);
  }
}

/** A ledger with published bundles, a real Redis, and an outbox between. */
export class World {
  readonly dir = scratch();
  readonly ledger: ReceiverLedger;
  readonly queue: ImportQueue;
  readonly alarms: ReceiverAlarm[] = [];
  readonly doubted: Digest[] = [];
  readonly #port: number;
  #redis: RedisServer;
  outbox: Outbox;

  private constructor(port: number, dir: string, redis: RedisServer) {
    this.#port = port;
    this.#redis = redis;
    this.dir = dir;
    this.ledger = new ReceiverLedger(join(dir, 'state', 'ledger.sqlite'));
    this.queue = openQueue({ redis: { url: redis.url }, timeoutMs: 1000 });
    this.outbox = this.begin();
    onTestFinished(async () => {
      await this.queue.close();
      this.ledger.close();
      await this.#redis.stop();
    });
  }

  static async create(bundles: number): Promise<World> {
    const dir = scratch();
    mkdirSync(join(dir, 'redis'));
    const port = await freePort();
    const world = new World(port, dir, await RedisServer.start(join(dir, 'redis'), port));
    for (let n = 1; n <= bundles; n += 1) {
      world.ledger.received({ id: bundleOf(n), channel: 'prod', sequence: n, release: bundleOf(n), bytes: 1 });
      world.ledger.publish(bundleOf(n), 'b', [], {});
    }
    await world.connected();
    return world;
  }

  begin(over: Partial<OutboxParts> = {}): Outbox {
    this.outbox = new Outbox({
      ledger: this.ledger,
      queue: this.queue,
      logger,
      importers: [loadVerifier(importer.publicPem)],
      onAlarm: (code) => this.alarms.push(code),
      onDoubt: (bundle) => this.doubted.push(bundle),
      catchUp: new CatchUp({ ledger: this.ledger, logger, heard: () => false }),
      ...over,
    });
    return this.outbox;
  }

  async connected(): Promise<void> {
    await until(async () => (await this.queue.health()).reachable);
  }

  get url(): string {
    return this.#redis.url;
  }

  flush(): void {
    execFileSync('redis-cli', ['-p', String(this.#port), 'flushall']);
  }

  async stopRedis(): Promise<void> {
    await this.#redis.stop();
    await until(async () => !(await this.queue.health()).reachable);
  }

  /** Redis comes back without anything it had. */
  async emptyRedis(): Promise<void> {
    const dir = join(this.dir, 'redis');
    rmSync(dir, { recursive: true });
    mkdirSync(dir);
    this.#redis = await RedisServer.start(dir, this.#port);
    await this.connected();
  }

  /** Whoever can write into Redis does the jobs, until each bundle has a result there. */
  async work(answer: (bundle: Digest) => string, bundles: readonly Digest[]): Promise<void> {
    const worker = startWorker({
      redis: { url: this.#redis.url },
      handle: (job) => Promise.resolve(answer(job.bundle ?? bundleOf(0))),
      pace: () => 1,
    });
    await until(async () => (await this.states(...bundles)).every((state) => state === 'completed'));
    await worker.close(1000);
  }

  states(...bundles: readonly Digest[]): Promise<string[]> {
    return Promise.all(bundles.map(async (bundle) => (await this.queue.status(bundle)).state));
  }

  state(bundle: Digest): string | undefined {
    return this.ledger.bundle(bundle)?.state;
  }
}
