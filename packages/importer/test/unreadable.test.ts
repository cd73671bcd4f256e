import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Logger } from '@sluice/base';
import { createMetrics } from '@sluice/chassis';
import { type Digest, OperationalError } from '@sluice/ports';
import type { Made } from '../../../test/harbor/images.ts';
import { missing } from '../../../test/harbor/needs.ts';
import { Jobs } from '../src/jobs.ts';
import { type ImportStore, UNREAD_MOST } from '../src/unreadable.ts';
import { fileArtifact, imageArtifact, World } from './world.ts';

const absent = missing('docker-registry', 'umoci', 'busybox', 'skopeo');
if (absent !== undefined) console.log(`importer: skipped, ${absent} is not installed`);

const quiet = (() => undefined) as Logger['info'];
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => logger } as unknown as Logger;
const failing = (code: string): OperationalError =>
  new OperationalError('store-io', `reading: ${code}`, {
    retryable: true,
    cause: Object.assign(new Error(), { code }),
  });

describe.skipIf(absent !== undefined)('a blob that the disk cannot read', () => {
  let world: World;
  let image: Made;
  let projects = 0;
  let repository: string;
  /** What cannot be read now, and how. */
  let broken: { readonly digest: Digest; readonly error: Error } | undefined;
  let jobs: Jobs;

  const check = (digest: Digest): void => {
    if (broken?.digest === digest) throw broken.error;
  };
  const storeOf = (inner: ImportStore): ImportStore => ({
    put: (...args) => inner.put(...args),
    readVerified: async (digest, limit) => {
      check(digest);
      return await inner.readVerified(digest, limit);
    },
    // The disk fails while it is read, not when it is opened.
    read: async (digest) => {
      const bytes = await inner.read(digest);
      return (async function* () {
        check(digest);
        yield* bytes;
      })();
    },
  });
  const attempt = async (bundle: Digest): Promise<string> => {
    const job = { id: 'job', bundle, attempt: 1 };
    return await jobs.handle(job).catch((error: unknown) => `${(error as OperationalError).code} again`);
  };
  const attempts = async (bundle: Digest, count: number): Promise<string[]> => {
    const seen: string[] = [];
    for (let i = 0; i < count; i += 1) seen.push(await attempt(bundle));
    return seen;
  };
  const many = (count: number): string[] => Array.from({ length: count }, () => 'store-io again');
  const layer = (): Digest => {
    const { layers } = JSON.parse(world.layout.bytes(image.digest).toString()) as { layers: Made[] };
    return layers[0]?.digest ?? image.digest;
  };

  beforeAll(async () => {
    world = await World.create();
    image = await world.layout.image('one', 'one');
  }, 60_000);
  afterAll(async () => {
    await world.stop();
  });
  beforeEach(() => {
    projects += 1;
    repository = `unread${projects}/image`;
    broken = undefined;
    world.calm();
    world.fill();
    jobs = new Jobs({ ports: { ...world.ports, store: storeOf(world.store) }, logger, metrics: createMetrics() });
  });

  it.each(['layer', 'manifest', 'release', 'file'])('is tried again, then counts as missing: a %s', async (what) => {
    const file = world.put(Buffer.from(what));
    const bundle = world.seal([
      imageArtifact(image, 'image', repository, ['1']),
      fileArtifact(file, what.length, `unread-${what}`),
    ]);
    const release = [...world.store.blobs.keys()].at(-2) ?? bundle;
    const digest = { layer: layer(), manifest: image.digest, release, file }[what] ?? file;
    broken = { digest, error: failing('EIO') };
    expect(await attempts(bundle, UNREAD_MOST)).toEqual(many(UNREAD_MOST));
    expect(jobs.waiting).toMatchObject([{ bundle, code: 'store-io', unread: UNREAD_MOST }]);
    const receipt = world.receipt(await attempt(bundle));
    expect(receipt).toMatchObject({ result: 'refused', code: what === 'release' ? 'release-missing' : 'blob-missing' });
    expect(jobs.waiting).toEqual([]);
    broken = undefined;
    expect(world.receipt(await attempt(bundle)).result).toBe('imported');
  });

  it('is no missing statement before that, and one without a receipt after', async () => {
    const bundle = world.seal([fileArtifact(world.put(Buffer.from('s')), 1, 'unread-statement')]);
    broken = { digest: bundle, error: failing('EIO') };
    expect(await attempts(bundle, UNREAD_MOST + 1)).toEqual([...many(UNREAD_MOST), 'refused statement-missing']);
  });

  it('counts only in a row, and only when it is the disk', async () => {
    const bundle = world.seal([imageArtifact(image, 'image', repository, ['1'])]);
    broken = { digest: layer(), error: failing('EIO') };
    expect(await attempts(bundle, UNREAD_MOST - 1)).toEqual(many(UNREAD_MOST - 1));
    broken = { digest: layer(), error: failing('EACCES') };
    expect(await attempts(bundle, 2 * UNREAD_MOST)).toEqual(many(2 * UNREAD_MOST));
    broken = { digest: layer(), error: failing('EIO') };
    expect(await attempts(bundle, UNREAD_MOST)).toEqual(many(UNREAD_MOST));
    expect(world.receipt(await attempt(bundle)).code).toBe('blob-missing');
  });
});
