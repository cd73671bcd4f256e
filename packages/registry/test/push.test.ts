import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OperationalError, type Digest } from '@sluice/ports';
import { Layout, SIGSTORE_BUNDLE, type Made } from '../../../test/harbor/images.ts';
import { faultsOf } from '../../../test/harbor/schema.ts';
import { missing } from '../../../test/harbor/needs.ts';
import { PULLER, PUSHER, startSite, type Site } from '../../../test/harbor/site.ts';
import {
  openHarbor,
  openRegistry,
  proveArtifact,
  publishTag,
  pushArtifact,
  RegistryError,
  replicate,
  type Harbor,
  type PushSource,
  type PushTarget,
  type Registry,
} from '../src/index.ts';

const absent = missing('docker-registry', 'umoci', 'busybox');
if (absent !== undefined) console.log(`registry push: skipped, ${absent} is not installed`);

let dir: string;
let a: Site;
let b: Site;
let registry: Registry;
let harbor: Harbor;
let layout: Layout;
let image: Made;
let other: Made;
let index: Made;
let repository: string;
let projects = 0;
const exchanged = new Map<Digest, Uint8Array>();

/** The layout's blobs as a store, with what somebody exchanged in it. */
const source: PushSource = {
  read: (digest) => {
    const bytes = exchanged.get(digest);
    return Promise.resolve(bytes === undefined ? createReadStream(layout.path(digest)) : Readable.from([bytes]));
  },
  readVerified: (digest) => {
    const bytes = exchanged.get(digest) ?? layout.bytes(digest);
    if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` === digest) return Promise.resolve(bytes);
    return Promise.reject(new OperationalError('store-digest-mismatch', 'other bytes', { retryable: false }));
  },
};

const target = (): PushTarget => ({ registry, harbor, repository });
const manifest = (made: Made): Made & { bytes: Uint8Array } => ({ ...made, bytes: layout.bytes(made.digest) });
const blobsOf = (made: Made): { digest: Digest; size: number }[] => {
  const document = JSON.parse(layout.bytes(made.digest).toString()) as { config: Made; layers: Made[] };
  return [document.config, ...document.layers];
};
const layerOf = (made: Made): Digest => blobsOf(made)[1]?.digest ?? made.digest;

async function push(made: Made): Promise<void> {
  const pushed = await pushArtifact(target(), source, made);
  expect(pushed).toMatchObject({ ok: true });
}
async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => new Error('no error'),
    (reason: unknown) => reason,
  );
  return error instanceof RegistryError ? `${error.code} ${error.failureClass}` : String(error);
}

describe.skipIf(absent !== undefined)('import into Harbor', () => {
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'sluice-push-'));
    a = await startSite(dir, 'a');
    b = await startSite(dir, 'b');
    layout = await Layout.create(join(dir, 'layout'));
    image = await layout.image('one', 'one');
    other = await layout.image('two', 'two', 'arm64');
    index = layout.index([
      { ...image, architecture: 'amd64' },
      { ...other, architecture: 'arm64' },
    ]);
    registry = openRegistry({ url: a.harbor.url, credentials: PUSHER });
    harbor = openHarbor({ url: a.harbor.url, credentials: PUSHER });
  }, 60_000);

  afterAll(async () => {
    registry.close();
    harbor.close();
    await a.stop();
    await b.stop();
    rmSync(dir, { recursive: true });
  });

  beforeEach(() => {
    projects += 1;
    repository = `p${projects}/some/image`;
    a.harbor.state.addProject(`p${projects}`, { public: 'false' });
    a.harbor.clearFaults();
    a.harbor.doorkeeper.tokensOnly = false;
    a.harbor.api.readOnly = false;
    exchanged.clear();
  });

  it('pushes an index with its children first, then the tag', async () => {
    await push(index);
    expect(await harbor.artifact(repository, index.digest)).toMatchObject({ digest: index.digest, tags: [] });
    expect(await publishTag(target(), manifest(index), '1.0')).toBe('created');
    expect(await harbor.artifact(repository, '1.0')).toMatchObject({ digest: index.digest, tags: [{ name: '1.0' }] });
    expect(await proveArtifact(registry, repository, index, ['1.0'])).toBe(index.digest);
    const puts = a.harbor.exchanges.filter(
      ({ method, path }) => method === 'PUT' && path.includes(`${repository}/manifests/`),
    );
    expect(puts.map(({ path }) => path.split('/').at(-1))).toEqual([image.digest, other.digest, index.digest]);
  });

  it('pushes an empty blob', async () => {
    const artifact = layout.referrer(image, 'application/x-empty', '');
    await push(image);
    await push(artifact);
    expect(await proveArtifact(registry, repository, artifact, [])).toBe(artifact.digest);
  });

  it('does nothing twice', async () => {
    await push(index);
    await publishTag(target(), manifest(index), 'v');
    const before = a.harbor.exchanges.length;
    await push(index);
    expect(await publishTag(target(), manifest(index), 'v')).toBe('unchanged');
    const again = a.harbor.exchanges.slice(before);
    expect(again.filter(({ path }) => path.includes('/blobs/uploads/'))).toEqual([]);
    expect(again.every(({ cookie, requestId }) => !cookie && requestId !== undefined)).toBe(true);
  });

  it('pushes with tokens where Basic is not taken', async () => {
    a.harbor.doorkeeper.tokensOnly = true;
    const own = openRegistry({ url: a.harbor.url, credentials: PUSHER });
    const pushed = await pushArtifact({ ...target(), registry: own }, source, image);
    expect(pushed.ok).toBe(true);
    a.harbor.doorkeeper.forgetTokens();
    expect(await own.manifestDigest(repository, image.digest)).toBe(image.digest);
    own.close();
  });

  it('mounts a blob that another repository holds', async () => {
    await push(image);
    const from = repository;
    repository = `${repository}2`;
    const how: string[] = [];
    const mounting = {
      ...target(),
      mountFrom: () => from,
      onBlob: (_d: Digest, _s: number, way: string) => how.push(way),
    };
    expect((await pushArtifact(mounting, source, image)).ok).toBe(true);
    expect(new Set(how.slice(0, 3))).toEqual(new Set(['mounted']));
  });

  it('brings referrers and a cosign tag after their subject', async () => {
    const attestation = layout.referrer(image, SIGSTORE_BUNDLE, '{"a":1}');
    const signature = layout.cosignSignature(image);
    expect(await codeOf(pushArtifact(target(), source, attestation))).toBe('subject-missing operator');
    for (const made of [image, attestation, signature]) await push(made);
    const tag = `${image.digest.replace(':', '-')}.sig`;
    expect(await publishTag(target(), manifest(signature), tag)).toBe('created');
    const held = await harbor.artifact(repository, image.digest);
    expect(held?.accessories.map(({ digest, type }) => `${type} ${digest}`).sort()).toEqual(
      [`signature.cosign ${attestation.digest}`, `signature.cosign ${signature.digest}`].sort(),
    );
    expect((await registry.referrers(repository, image.digest))?.map(({ digest }) => digest)).toEqual([
      attestation.digest,
    ]);
  });

  it('names a missing project, creates it, and takes one that is there for a success', async () => {
    repository = `fresh${projects}/x`;
    expect(await codeOf(pushArtifact(target(), source, image))).toBe('harbor-project-missing operator');
    expect(await harbor.projectExists(`fresh${projects}`)).toBe(false);
    await harbor.createProject(`fresh${projects}`, { public: 'false' });
    await harbor.createProject(`fresh${projects}`, { public: 'false' });
    expect(await harbor.projectExists(`fresh${projects}`)).toBe(true);
    await push(image);
  });

  it('leaves an immutable tag of the same digest alone and cannot move one', async () => {
    await push(image);
    await push(other);
    await publishTag(target(), manifest(image), '1.0');
    await publishTag(target(), manifest(image), 'floating');
    a.harbor.state.projects.get(`p${projects}`)?.immutable.push('1.*');
    expect(await publishTag(target(), manifest(image), '1.0')).toBe('unchanged');
    expect(await codeOf(publishTag(target(), manifest(other), '1.0'))).toBe('harbor-immutable-tag operator');
    expect(await publishTag(target(), manifest(other), 'floating')).toBe('moved');
    expect((await harbor.artifact(repository, 'floating'))?.digest).toBe(other.digest);
  });

  it('stops at the quota, a read-only Harbor and wrong credentials', async () => {
    const held = a.harbor.state.projects.get(`p${projects}`);
    if (held !== undefined) held.quota = 1000;
    expect(await codeOf(pushArtifact(target(), source, image))).toBe('harbor-quota operator');
    a.harbor.api.readOnly = true;
    expect(await codeOf(harbor.createProject('other', {}))).toBe('registry-read-only transient');
    const wrong = openRegistry({ url: a.harbor.url, credentials: { ...PUSHER, password: 'no' } });
    expect(await codeOf(wrong.blobSize(repository, image.digest))).toBe('harbor-unauthorized operator');
    wrong.close();
  });

  it('goes on after failures of the registry', async () => {
    const faults = [
      { match: /^PUT .*\/blobs\/uploads\//, status: 500 },
      { match: /^POST .*\/blobs\/uploads\//, status: 503 },
      { match: /^PUT .*\/blobs\/uploads\//, status: 404, code: 'BLOB_UPLOAD_INVALID' },
      { match: /^PUT .*\/blobs\/uploads\//, cut: true },
      {
        match: /^PUT .*\/manifests\//,
        status: 404,
        code: 'NOT_FOUND',
        message: 'the asking blob is in GC, mark it as non existing',
      },
    ];
    const codes: string[] = [];
    for (const fault of faults) {
      a.harbor.fail(fault);
      codes.push(await codeOf(pushArtifact(target(), source, image)));
    }
    expect(codes).toEqual([
      'registry-unavailable transient',
      'registry-unavailable transient',
      'registry-upload-lost transient',
      'registry-unreachable transient',
      'registry-gc transient',
    ]);
    await push(image);
  });

  it('sends a blob again that was collected before its manifest went out', async () => {
    const layer = layerOf(image);
    a.harbor.fail({ match: new RegExp(`^HEAD .*${layer}`), status: 404, code: 'BLOB_UNKNOWN', skip: 1, times: 1 });
    const how: string[] = [];
    const watching = {
      ...target(),
      onBlob: (digest: Digest, _size: number, way: string) => digest === layer && how.push(way),
    };
    expect(
      (await pushArtifact({ ...watching, onBlob: (d, s, w) => void watching.onBlob(d, s, w) }, source, image)).ok,
    ).toBe(true);
    expect(how).toEqual(['uploaded', 'uploaded']);
  });

  it.each([
    ['a changed layer', (made: Made) => layerOf(made), (bytes: Buffer) => bytes.fill(7, 100, 101)],
    ['a longer layer', (made: Made) => layerOf(made), (bytes: Buffer) => Buffer.concat([bytes, bytes])],
    ['a shorter layer', (made: Made) => layerOf(made), (bytes: Buffer) => bytes.subarray(1)],
    ['a changed manifest', (made: Made) => made.digest, (bytes: Buffer) => Buffer.concat([bytes, Buffer.from(' ')])],
  ])('imports nothing of %s', async (_name, which, change) => {
    const digest = which(image);
    exchanged.set(digest, change(layout.bytes(digest)));
    const refused = await pushArtifact(target(), source, image);
    expect(refused).toMatchObject({ ok: false, error: { code: 'digest-mismatch' } });
    expect(await harbor.artifact(repository, image.digest)).toBeUndefined();
    const done = a.harbor.exchanges.filter(({ method, path, status }) => {
      return (
        method === 'PUT' &&
        status === 201 &&
        path.includes(`${repository}/`) &&
        path.includes(encodeURIComponent(digest))
      );
    });
    expect(done).toEqual([]);
  });

  it('replicates by policy and proves it at the other site', async () => {
    const attestation = layout.referrer(index, SIGSTORE_BUNDLE, '{"b":2}');
    for (const made of [index, attestation]) await push(made);
    await publishTag(target(), manifest(index), '1.0');
    const name = `to-b-${projects}`;
    a.harbor.addPolicy({
      name,
      filters: [{ type: 'name', value: `p${projects}/**` }],
      destination: { name: 'b', url: b.harbor.url, ...PUSHER },
    });
    const at = openRegistry({ url: b.harbor.url, credentials: PULLER });
    expect(await codeOf(proveArtifact(at, repository, index, ['1.0']))).toMatch(/missing/);
    expect(await replicate(harbor, name, { pollMs: 5 })).toMatchObject({ status: 'Succeed', total: 1, failed: 0 });
    expect(await proveArtifact(at, repository, index, ['1.0'])).toBe(index.digest);
    expect(await proveArtifact(at, repository, attestation, [])).toBe(attestation.digest);
    at.close();
  });

  it('waits for another run of the policy, and tells empty, failed, disabled and missing ones', async () => {
    await push(image);
    const destination = { name: 'b', url: b.harbor.url, ...PUSHER };
    const filters = [{ type: 'name' as const, value: `p${projects}/**` }];
    const policy = a.harbor.addPolicy({ name: `busy-${projects}`, filters, destination });
    a.harbor.replications.hold();
    const first = await harbor.startReplication(policy.id);
    const seen: string[] = [];
    const second = replicate(harbor, policy.name, {
      pollMs: 5,
      onProgress: ({ statusText }) => {
        seen.push(statusText);
        a.harbor.replications.release();
      },
    });
    expect(await second).toMatchObject({ status: 'Succeed' });
    expect(seen[0]).toContain('active replication');
    expect((await harbor.replicationExecution(first)).status).toBe('Succeed');
    a.harbor.replications.failNext(1);
    expect(await codeOf(replicate(harbor, policy.name, { pollMs: 5 }))).toBe('replication-failed transient');
    a.harbor.addPolicy({ name: 'typo', filters: [{ type: 'name', value: 'typo/**' }], destination });
    expect(await codeOf(replicate(harbor, 'typo', { pollMs: 5 }))).toBe('replication-empty operator');
    policy.enabled = false;
    expect(await codeOf(replicate(harbor, policy.name))).toBe('replication-policy-disabled operator');
    expect(await codeOf(replicate(harbor, 'none'))).toBe('replication-policy-missing operator');
  });

  it('spoke with Harbor as its published description says', () => {
    const api = [...a.harbor.exchanges, ...b.harbor.exchanges].filter(({ path }) => path.startsWith('/api/'));
    expect(api.length).toBeGreaterThan(50);
    expect(api.flatMap(faultsOf)).toEqual([]);
  });
});
