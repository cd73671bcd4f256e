import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ceph, cephMissing, startCeph } from '../env/ceph.ts';
import { Layout, type Made } from '../harbor/images.ts';
import { missing } from '../harbor/needs.ts';
import { until } from '../world/processes.ts';
import { World } from '../world/world.ts';

const absent = missing('redis-server', 'docker-registry', 'umoci') ?? cephMissing();
const STORE = 'published';
const PREFIX = 'site-a/';
const INCOMING = 'incoming';
/** Name of the import queue in Redis. */
const QUEUE = 'sluice-import';

// Redis and S3 are not trusted: what is changed behind the receiver's back is found by the importer.
describe.skipIf(absent !== undefined)(
  `a pair whose store is in S3${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-s3-'));
    let ceph: Ceph;
    let world: World;
    let layout: Layout;

    beforeAll(async () => {
      ceph = await startCeph(join(dir, 'ceph'));
      await ceph.makeBucket(STORE);
      await ceph.makeBucket(INCOMING);
      const { endpoint, credentials } = ceph;
      const files = {
        accessKeyIdFile: join(dir, 'keys/s3.id'),
        secretAccessKeyFile: join(dir, 'keys/s3.secret'),
      };
      const store = { type: 's3', endpoint, bucket: STORE, prefix: PREFIX, ...files };
      world = await World.create({
        dir,
        tune: ({ sender, receiver, importer }) => {
          sender.carousel = { passes: 20, gap: '2s' };
          receiver.store = store;
          importer.store = store;
          const [channel] = sender.channels;
          if (channel === undefined) throw new Error('no channel');
          channel.s3 = { endpoint, bucket: INCOMING, prefix: 'in/', ...files, schedule: '* * * * * *' };
        },
      });
      writeFileSync(files.accessKeyIdFile, credentials.accessKeyId, { mode: 0o600 });
      writeFileSync(files.secretAccessKeyFile, credentials.secretAccessKey, { mode: 0o600 });
      await world.startServices();
      await world.startDaemons();
    });

    afterAll(async () => {
      await world.stop();
      await ceph.stop();
      rmSync(dir, { recursive: true, force: true });
    });

    const put = async (bucket: string, key: string, bytes: Uint8Array): Promise<void> => {
      await ceph.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
    };
    const keyOf = (digest: string): string => `${PREFIX}blobs/sha256/${digest.slice('sha256:'.length)}`;

    /** What the store holds, by key. */
    async function stored(): Promise<Map<string, number>> {
      const { Contents = [] } = await ceph.client.send(new ListObjectsV2Command({ Bucket: STORE }));
      return new Map(Contents.map(({ Key = '', Size = 0 }) => [Key, Size]));
    }

    async function manifestAt(site: 'a' | 'b', reference: string): Promise<Response> {
      const port = site === 'a' ? world.ports.harborA : world.ports.harborB;
      const headers = {
        authorization: `Basic ${Buffer.from('admin:Harbor12345').toString('base64')}`,
        accept: 'application/vnd.oci.image.manifest.v1+json',
      };
      return fetch(`http://127.0.0.1:${String(port)}/v2/${reference}`, { headers });
    }

    const metric = async (line: string): Promise<boolean> =>
      (await (await fetch(world.url('importer', '/metrics'))).text()).split('\n').includes(line);
    const alarmed = (code: string): Promise<boolean> =>
      until(`an alarm ${code}`, 60_000, async () =>
        (await metric(`sluice_importer_alarms_total{code="${code}"} 1`)) ? true : undefined,
      );

    /** An image and a file of this name, submitted as one bundle. */
    async function submit(name: string, key = 'release') {
      layout = await Layout.create(join(dir, 'input', `${name}-image`));
      const image = await layout.image('1', name);
      const file = join(dir, 'input', `${name}.txt`);
      writeFileSync(file, `file of ${name}`);
      const paths = [layout.dir, file];
      const release = world.release(name, paths, [key], [`library/${name}`]);
      return { image, ...world.submit(release, paths) };
    }

    async function forge(jobId: string, data: unknown): Promise<void> {
      const client = new Redis(world.configs.receiver.redis.url, { maxRetriesPerRequest: null });
      const queue = new Queue(QUEUE, { connection: client });
      await queue.add('import', data, { jobId });
      await queue.close();
      client.disconnect();
    }

    it('imports an image and a file', async () => {
      const { image, sequence } = await submit('honest');
      await world.bundle(sequence, ['imported'], 60_000);
      for (const site of ['a', 'b'] as const) {
        const response = await manifestAt(site, 'library/honest/manifests/1');
        expect(response.status).toBe(200);
        expect(response.headers.get('docker-content-digest')).toBe(image.digest);
      }
      expect(readFileSync(join(dir, 'files/honest.txt'), 'utf8')).toBe('file of honest');
      expect((await stored()).get(keyOf(image.digest))).toBe(image.size);
      expect(existsSync(join(dir, 'store'))).toBe(false);
    });

    it('imports nothing of a bundle whose layer was exchanged in the bucket, raises an alarm, and imports it once the layer came again', async () => {
      await world.program('importer').stop();
      const { image, sequence, bundle } = await submit('exchanged');
      await world.bundle(sequence, ['published', 'queued'], 60_000);
      const { layers } = JSON.parse(layout.bytes(image.digest).toString()) as { layers: Made[] };
      const layer = layers.at(-1)?.digest ?? '';
      const size = (await stored()).get(keyOf(layer)) ?? 0;
      expect(size).toBeGreaterThan(0);
      await put(STORE, keyOf(layer), randomBytes(size));

      await world.start('importer');
      await alarmed('digest-mismatch');
      await world.program('receiver').line(/"alarm":"import-refused"/);
      await world.program('receiver').line(/1 blobs are damaged or gone in the store/);
      // Later passes bring it: by then it is what the statements say.
      await world.bundle(sequence, ['imported'], 90_000);
      for (const site of ['a', 'b'] as const) {
        const response = await manifestAt(site, 'library/exchanged/manifests/1');
        expect(response.headers.get('docker-content-digest')).toBe(image.digest);
      }
      expect((await stored()).get(keyOf(layer))).toBe(size);
      expect((await stored()).get(`${PREFIX}damaged/${layer.slice('sha256:'.length)}`)).toBe(size);
      const story = await world.get<{ events: { kind: string }[] }>('receiver', `/v1/bundles/${bundle}`);
      expect(story?.events.map(({ kind }) => kind)).toEqual([
        ...['received', 'published', 'failed', 'damaged', 'published', 'imported'],
      ]);
    });

    it('imports nothing for jobs forged in Redis, and raises alarms', async () => {
      const before = readdirSync(join(dir, 'files'));
      const nobody = 'e'.repeat(64);
      await forge('evil', { bundle: '../../etc/passwd' });
      await forge(`sha256-${nobody}`, { bundle: `sha256:${nobody}` });
      await alarmed('job-malformed');
      await alarmed('statement-missing');
      await world.program('receiver').line(/"alarm":"receipt-forged"/);
      expect(readdirSync(join(dir, 'files'))).toEqual(before);
    });

    it('imports nothing of a refused bundle that was put into bucket and queue by hand', async () => {
      const { bundle, image, sequence } = await submit('refused', 'other');
      const refused = await world.bundle(sequence, ['quarantined'], 60_000);
      expect(refused.code).toBe('signer-unknown');
      expect((await stored()).has(keyOf(bundle))).toBe(false);
      const kept = join(dir, 'quarantine', bundle.slice('sha256:'.length));
      for (const name of readdirSync(kept).filter((each) => each.endsWith('.dsse.json'))) {
        await put(STORE, keyOf(`sha256:${name.slice(0, 64)}`), readFileSync(join(kept, name)));
      }
      for (const name of readdirSync(join(layout.dir, 'blobs/sha256'))) {
        await put(STORE, keyOf(`sha256:${name}`), readFileSync(join(layout.dir, 'blobs/sha256', name)));
      }
      await forge(bundle.replace(':', '-'), { bundle });
      await alarmed('signer-unknown');
      await world.program('receiver').line(/a receipt is of a bundle that was never published/);
      expect((await world.bundles()).find(({ id }) => id === bundle)).toMatchObject({
        state: 'quarantined',
        code: 'signer-unknown',
      });
      for (const reference of ['1', image.digest]) {
        expect((await manifestAt('a', `library/refused/manifests/${reference}`)).status).toBe(404);
      }
      expect(existsSync(join(dir, 'files/refused.txt'))).toBe(false);
    });

    it('waits for the bucket when it is away, and goes on by itself', async () => {
      await ceph.stop();
      const { sequence } = await submit('patient');
      await world.bundle(sequence, ['receiving'], 60_000);
      await world.program('receiver').line(/"code":"store-unreachable"/);
      ceph = await startCeph(join(dir, 'ceph'));
      await world.bundle(sequence, ['imported'], 60_000);
      expect(readFileSync(join(dir, 'files/patient.txt'), 'utf8')).toBe('file of patient');
    });

    it('takes a bundle that was put under a prefix, its release last', async () => {
      const file = join(dir, 'input/uploaded.txt');
      writeFileSync(file, 'an uploaded file');
      const release = world.release('uploaded', [file]);
      const known = Math.max(0, ...(await world.bundles()).map(({ sequence }) => sequence));
      await put(INCOMING, 'in/uploaded/uploaded.txt', readFileSync(file));
      await put(INCOMING, 'in/uploaded/release.dsse.json', readFileSync(release));
      await world.bundle(known + 1, ['imported'], 60_000);
      expect(readFileSync(join(dir, 'files/uploaded.txt'), 'utf8')).toBe('an uploaded file');
    });
  },
);
