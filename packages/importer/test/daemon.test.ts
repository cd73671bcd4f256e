import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { BlobStore, Digest } from '@sluice/ports';
import { type ImportQueue, jobIdOf, openQueue, QUEUE_NAME } from '@sluice/queue';
import { openFsStore } from '@sluice/store';
import { skopeoDigest, type Made } from '../../../test/harbor/images.ts';
import { missing } from '../../../test/harbor/needs.ts';
import { PULLER, PUSHER } from '../../../test/harbor/site.ts';
import { freePort, RedisServer } from '../../queue/test/redis.ts';
import { imageArtifact, keyPairs, stranger, World } from './world.ts';

const absent = missing('docker-registry', 'umoci', 'busybox', 'skopeo', 'redis-server');
if (absent !== undefined) console.log(`importer daemon: skipped, ${absent} is not installed`);

const run = promisify(execFile);
const TIMEOUT_MS = 60_000;

let world: World;
let redis: RedisServer;
let port: number;
let queue: ImportQueue;
let store: BlobStore;
let image: Made;
let config: string;
let projects = 0;
let repository: string;
let importer: { readonly child: ChildProcess; readonly origin: string } | undefined;

function writeConfig(): void {
  const file = (name: string, content: string): string => {
    const path = join(world.dir, name);
    writeFileSync(path, content);
    chmodSync(path, 0o600);
    return path;
  };
  const transport = file('transport.pub', keyPairs.transport.publicPem);
  const release = file('release.pub', keyPairs.release.publicPem);
  const { policy } = world.ports.trust.get('prod') ?? {};
  if (policy === undefined) throw new Error('no policy');
  const { types, repositories, paths, maxArtifacts, releaseSignatures } = policy;
  const account = ({ username, password }: typeof PUSHER): unknown => ({
    username,
    passwordFile: file(username, `${password}\n`),
  });
  config = file(
    'importer.json',
    JSON.stringify({
      stateDirectory: join(world.dir, 'daemon-state'),
      http: { port: 0 },
      store: { type: 'fs', directory: join(world.dir, 'store') },
      redis: { url: `redis://127.0.0.1:${port}` },
      harbor: { site: 'a', url: world.a.harbor.url, ...(account(PUSHER) as object) },
      sites: [{ name: 'b', url: world.b.harbor.url, ...(account(PULLER) as object) }],
      replicationPolicies: ['to-b'],
      files: { directory: join(world.dir, 'files') },
      channels: [
        {
          name: 'prod',
          transportKeyFiles: [transport],
          releaseKeyFiles: [release],
          ...{ types, repositories, paths, maxArtifacts, releaseSignatures },
          maxBytes: '1GiB',
        },
      ],
      receiptKeyFile: file('importer.key', keyPairs.importer.privatePem),
      replicationPoll: '20ms',
      takeover: '500ms',
      retry: { transientFirst: '10ms', transientMax: '50ms', operatorFirst: '50ms', operatorMax: '100ms' },
    }),
  );
}

/** Starts the daemon and waits until it says where it listens. */
async function start(): Promise<void> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'process.ts'), config], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface(child.stdout)) {
    const { http } = JSON.parse(line) as { http?: string };
    if (http === undefined) continue;
    importer = { child, origin: http };
    break;
  }
  child.stdout.resume();
}

async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<unknown[]> {
  const child = importer?.child;
  importer = undefined;
  if (child === undefined) return [];
  const ended = once(child, 'exit');
  child.kill(signal);
  return ended;
}

const get = async (path: string): Promise<Response> => fetch(`${importer?.origin ?? ''}${path}`);
const metric = async (line: string): Promise<boolean> => (await (await get('/metrics')).text()).includes(`${line}\n`);
const status = async (): Promise<{ waiting: unknown[]; active: { stop: string }[] }> =>
  (await (await get('/v1/status')).json()) as { waiting: unknown[]; active: { stop: string }[] };

const until = async (check: () => boolean | Promise<boolean>): Promise<void> => {
  const look = async (): Promise<void> => {
    if (!(await check())) throw new Error('not yet');
  };
  await vi.waitFor(look, { interval: 20, timeout: 30_000 });
};
async function done(bundle: Digest): Promise<string> {
  await until(async () => (await queue.status(bundle)).state === 'completed');
  return (await queue.status(bundle)).receipt ?? '';
}
/** Seals a bundle of the image and publishes everything as the receiver would. */
async function publish(options: Parameters<World['seal']>[1] = {}): Promise<Digest> {
  world.fill();
  const bundle = world.seal([imageArtifact(image, 'image', repository, ['1'])], options);
  await store.putMany([...world.store.blobs].map(([digest, bytes]) => ({ digest, bytes })));
  return bundle;
}
async function forge(jobId: string, data: unknown): Promise<void> {
  const client = new Redis(redis.url, { maxRetriesPerRequest: null });
  const forger = new Queue(QUEUE_NAME, { connection: client });
  await forger.add('import', data, { jobId });
  await forger.close();
  client.disconnect();
}
const atB = (): Promise<string> =>
  skopeoDigest(world.b.harbor.host, `${repository}:1`, `${PULLER.username}:${PULLER.password}`);

describe.skipIf(absent !== undefined)('importer daemon', { timeout: TIMEOUT_MS }, () => {
  beforeAll(async () => {
    world = await World.create();
    image = await world.layout.image('one', 'one');
    mkdirSync(join(world.dir, 'redis'));
    mkdirSync(join(world.dir, 'store'));
    store = await openFsStore(join(world.dir, 'store'));
    port = await freePort();
    writeConfig();
    // Black start: the daemon is up before Redis.
    await start();
    expect((await get('/livez')).status).toBe(200);
    expect((await get('/readyz')).status).toBe(503);
    redis = await RedisServer.start(join(world.dir, 'redis'), port);
    queue = openQueue({ redis: { url: redis.url } });
    await until(async () => (await queue.health()).reachable);
    await until(async () => (await get('/readyz')).status === 200);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await end('SIGKILL');
    await queue.close();
    await redis.stop();
    await world.stop();
  });
  beforeEach(async () => {
    projects += 1;
    repository = `daemon${projects}/image`;
    if (importer === undefined) await start();
  });
  afterEach(() => {
    world.calm();
    world.a.harbor.replications.release();
  });

  it('imports what the queue names, and stops when asked', async () => {
    const bundle = await publish();
    await queue.enqueue(bundle);
    expect(world.receipt(await done(bundle))).toMatchObject({ bundle, result: 'imported' });
    expect(await atB()).toBe(image.digest);
    expect(await metric('sluice_importer_results_total{result="imported"} 1')).toBe(true);
    const health = (await (await get('/healthz')).json()) as { status: string; checks: Record<string, unknown> };
    expect(health.status).toBe('pass');
    expect(Object.keys(health.checks)).toEqual(['queue:redis', 'imports:waiting', 'registry:a', 'registry:b']);
    expect(await end('SIGTERM')).toEqual([0, null]);
  });

  it('imports nothing for a job forged in Redis, and raises an alarm', async () => {
    const nobody: Digest = `sha256:${'e'.repeat(64)}`;
    await forge('evil', { bundle: nobody });
    await forge(jobIdOf(nobody), { bundle: nobody });
    const signed = await publish({ signer: stranger });
    await forge(jobIdOf(signed), { bundle: signed });
    expect(await done(nobody)).toBe('refused statement-missing');
    expect(await done(signed)).toBe('refused signer-unknown');
    for (const code of ['job-malformed', 'statement-missing', 'signer-unknown']) {
      await until(() => metric(`sluice_importer_alarms_total{code="${code}"} 1`));
    }
    expect(world.a.harbor.state.repositories.has(repository)).toBe(false);
  });

  it('imports nothing of a bundle whose blob was exchanged in the store, and raises an alarm', async () => {
    image = await world.layout.image(`fresh${projects}`, `fresh${projects}`);
    const bundle = await publish();
    const { layers } = JSON.parse(world.layout.bytes(image.digest).toString()) as { layers: Made[] };
    const layer = layers.at(-1)?.digest ?? image.digest;
    const { stdout } = await run('find', [join(world.dir, 'store'), '-type', 'f', '-name', `*${layer.slice(9)}*`]);
    const [path = ''] = stdout.split('\n');
    chmodSync(path, 0o600);
    writeFileSync(path, 'evil');
    await queue.enqueue(bundle);
    expect(world.receipt(await done(bundle))).toMatchObject({
      result: 'refused',
      code: 'digest-mismatch',
      artifacts: [],
    });
    expect(await metric('sluice_importer_alarms_total{code="digest-mismatch"} 1')).toBe(true);
    expect([...(world.a.harbor.state.repositories.get(repository)?.tags ?? [])]).toEqual([]);
    writeFileSync(path, world.layout.bytes(layer));
  });

  it('shows what waits for an operator, and goes on by itself when that is mended', async () => {
    const project = world.a.harbor.state.addProject(`daemon${projects}`, { public: 'false' }, 10);
    const bundle = await publish();
    await queue.enqueue(bundle);
    await until(async () => (await status()).waiting.length === 1);
    expect((await status()).waiting).toMatchObject([{ bundle, code: 'harbor-quota', class: 'operator' }]);
    expect(await metric('sluice_importer_waiting{class="operator"} 1')).toBe(true);
    expect(await (await get('/healthz')).text()).toContain('raise the quota');
    project.quota = -1;
    expect(world.receipt(await done(bundle))).toMatchObject({ result: 'imported' });
    expect((await status()).waiting).toEqual([]);
  });

  it.each([
    ['between blobs and manifest', /^PUT .*\/manifests\//],
    ['in the middle of a blob', /^PUT .*\/blobs\/uploads\//],
    ['before the tag', /^POST .*\/tags$/],
  ])('ends the import after kill -9 %s', async (_where, match) => {
    image = await world.layout.image(`kill${projects}`, `kill${projects}`);
    const bundle = await publish();
    const asked = world.a.harbor.exchanges.length;
    world.a.harbor.fail({ match, stall: true });
    await queue.enqueue(bundle);
    await until(() =>
      world.a.harbor.exchanges.slice(asked).some(({ method, path }) => match.test(`${method} ${path}`)),
    );
    expect(await end('SIGKILL')).toEqual([null, 'SIGKILL']);
    expect(world.a.harbor.state.repositories.get(repository)?.tags.has('1') ?? false).toBe(false);
    await start();
    expect(world.receipt(await done(bundle))).toMatchObject({ result: 'imported' });
    expect(await atB()).toBe(image.digest);
  });

  it('ends the import after kill -9 during replication', async () => {
    const bundle = await publish();
    world.a.harbor.replications.hold();
    await queue.enqueue(bundle);
    await until(async () => (await status()).active.some(({ stop }) => stop === 'replication'));
    await end('SIGKILL');
    await start();
    // The first execution is still at work: the next one is skipped by Harbor and started again.
    await until(async () => (await status()).active.some(({ stop }) => stop === 'replication'));
    world.a.harbor.replications.release();
    expect(world.receipt(await done(bundle))).toMatchObject({ result: 'imported' });
    expect(await atB()).toBe(image.digest);
  });
});
