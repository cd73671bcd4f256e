import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Digest } from '@sluice/ports';
import { SIGSTORE_BUNDLE, skopeoDigest, type Made } from '../../../test/harbor/images.ts';
import { missing } from '../../../test/harbor/needs.ts';
import { PULLER } from '../../../test/harbor/site.ts';
import { importBundle, type ImportEvent, type ImportOutcome } from '../src/pipeline.ts';
import { classOf } from '../src/retry.ts';
import { fileArtifact, imageArtifact, stranger, transportSigner, World } from './world.ts';

const absent = missing('docker-registry', 'umoci', 'busybox', 'skopeo');
if (absent !== undefined) console.log(`importer: skipped, ${absent} is not installed`);

let world: World;
let one: Made;
let two: Made;
let index: Made;
let projects = 0;
let repository: string;

const run = (bundle: Digest): Promise<ImportOutcome> => importBundle(world.ports, bundle);
const stops = (): string[] =>
  world.events.flatMap((event: ImportEvent) => (event.stop === 'bytes' || event.stop === 'blob' ? [] : [event.stop]));
const puller = `${PULLER.username}:${PULLER.password}`;
const tagAt = async (tag: string): Promise<Digest | undefined> =>
  (await world.ports.home.harbor.artifact(repository, tag))?.digest;
const failureOf = async (promise: Promise<ImportOutcome>): Promise<string> => {
  const error: unknown = await promise.then(
    (outcome) => new Error(JSON.stringify(outcome)),
    (reason: unknown) => reason,
  );
  const { code = String(error) } = error as { code?: string };
  return `${code} ${classOf(error) ?? 'unclassed'}`;
};
const layerOf = (made: Made): Digest =>
  (JSON.parse(world.layout.bytes(made.digest).toString()) as { layers: Made[] }).layers[0]?.digest ?? made.digest;

describe.skipIf(absent !== undefined)('import of a bundle', () => {
  beforeAll(async () => {
    world = await World.create();
    one = await world.layout.image('one', 'one');
    two = await world.layout.image('two', 'two', 'arm64');
    index = world.layout.index([
      { ...one, architecture: 'amd64' },
      { ...two, architecture: 'arm64' },
    ]);
    world.fill();
  }, 60_000);
  afterAll(async () => {
    await world.stop();
  });
  beforeEach(() => {
    projects += 1;
    repository = `project${projects}/deep/image`;
    world.calm();
    world.fill();
  });

  it('is not named once a key that it needs was revoked while its contents went over, nor begun after that', async () => {
    const bundle = world.seal([imageArtifact(one, 'image', repository, ['1.0'])]);
    const context = world.ports.trust.get('prod')!;
    let revoked = new Set<string>();
    const seen: string[] = [];
    const ports = {
      ...world.ports,
      trust: { get: () => ({ ...context, policy: { ...context.policy, revoked } }) },
      onEvent: ({ stop }: ImportEvent): void => {
        seen.push(stop);
        if (stop === 'artifact') revoked = new Set(context.policy.releaseKeys);
      },
    };
    expect(await importBundle(ports, bundle)).toMatchObject({ result: 'refused', code: 'key-revoked' });
    expect(await tagAt('1.0')).toBeUndefined();
    expect(seen).toContain('artifact');
    seen.length = 0;
    expect(await importBundle(ports, bundle)).toMatchObject({ result: 'refused', code: 'key-revoked' });
    expect(seen).toEqual([]);
  });

  it('brings index, referrer, cosign tag and file to both sites, in order, and proves it', async () => {
    const attestation = world.layout.referrer(index, SIGSTORE_BUNDLE, '{"signed":true}');
    const signature = world.layout.cosignSignature(index);
    world.fill();
    const file = world.put(Buffer.from('be excellent to each other\n'));
    const signatureTag = `${index.digest.replace(':', '-')}.sig`;
    const bundle = world.seal([
      imageArtifact(attestation, 'attestation', repository, []),
      imageArtifact(signature, 'signature', repository, [signatureTag]),
      imageArtifact(index, 'image', repository, ['1.0', 'latest']),
      fileArtifact(file, 27, 'etc/motd.d/excellent'),
    ]);
    const outcome = await run(bundle);
    if (outcome.result !== 'imported') throw new Error(JSON.stringify(outcome));
    const receipt = world.receipt(outcome.receipt);
    expect(receipt).toMatchObject({ bundle, channel: 'prod', result: 'imported', code: 'ok' });
    const both = (digest: Digest): unknown[] => ['a', 'b'].map((site) => ({ site, digest }));
    expect(receipt.artifacts).toEqual([
      { name: 'image', digest: index.digest, sites: both(index.digest) },
      { name: 'attestation', digest: attestation.digest, sites: both(attestation.digest) },
      { name: 'signature', digest: signature.digest, sites: both(signature.digest) },
      { name: 'etc/motd.d/excellent', digest: file, sites: [{ site: 'a', digest: file }] },
    ]);
    expect([...new Set(stops())]).toEqual(['statements', 'project', 'artifact', 'tag', 'replication', 'proof']);
    const tags = world.events.flatMap((event) => (event.stop === 'tag' ? [event.tag] : []));
    expect(tags).toEqual([signatureTag, '1.0', 'latest']);
    for (const tag of ['1.0', 'latest', signatureTag]) {
      const expected = tag === signatureTag ? signature.digest : index.digest;
      expect(await skopeoDigest(world.b.harbor.host, `${repository}:${tag}`, puller)).toBe(expected);
    }
    const accessories = (await world.ports.home.harbor.artifact(repository, index.digest))?.accessories;
    expect(accessories?.map(({ type }) => type)).toEqual(['signature.cosign', 'signature.cosign']);
    expect(readFileSync(join(world.dir, 'files/etc/motd.d/excellent'), 'utf8')).toBe('be excellent to each other\n');
    expect(readdirSync(join(world.dir, 'files/.sluice'))).toEqual([]);
    expect(world.ledger.imported(bundle)).toBe(true);
    // The receipt is kept in the store as well.
    expect([...world.store.blobs.values()].some((bytes) => Buffer.from(bytes).toString() === outcome.receipt)).toBe(
      true,
    );
  });

  it('does nothing twice', async () => {
    const file = world.put(Buffer.from('again\n'));
    const bundle = world.seal([imageArtifact(one, 'image', repository, ['1']), fileArtifact(file, 6, 'again')]);
    expect((await run(bundle)).result).toBe('imported');
    const before = world.a.harbor.exchanges.length;
    world.calm();
    expect((await run(bundle)).result).toBe('imported');
    const paths = world.a.harbor.exchanges.slice(before).map(({ method, path }) => `${method} ${path}`);
    expect(paths.filter((line) => line.includes('/blobs/uploads/'))).toEqual([]);
    expect(paths.filter((line) => line.endsWith('/tags') || line.startsWith('POST /api/v2.0/projects'))).toEqual([]);
    expect(world.events).toContainEqual({ stop: 'tag', repository, tag: '1', how: 'unchanged' });
  });

  it('leaves an immutable tag of the same digest alone, and waits for an operator for another', async () => {
    expect((await run(world.seal([imageArtifact(one, 'image', repository, ['1.0'])]))).result).toBe('imported');
    world.a.harbor.state.project(repository)?.immutable.push('1.*');
    expect((await run(world.seal([imageArtifact(one, 'image', repository, ['1.0'])]))).result).toBe('imported');
    const other = world.seal([imageArtifact(two, 'image', repository, ['1.0'])]);
    expect(await failureOf(run(other))).toBe('harbor-immutable-tag operator');
    expect(await tagAt('1.0')).toBe(one.digest);
  });

  it('moves a tag forward, never back to an older bundle of the channel', async () => {
    const older = world.seal([imageArtifact(one, 'image', repository, ['latest'])]);
    const newer = world.seal([imageArtifact(two, 'image', repository, ['latest'])]);
    expect((await run(newer)).result).toBe('imported');
    const late = await run(older);
    expect(late.result).toBe('imported');
    expect(await tagAt('latest')).toBe(two.digest);
    expect(world.events).toContainEqual({ stop: 'tag', repository, tag: 'latest', how: 'superseded' });
    expect((await run(world.seal([imageArtifact(one, 'image', repository, ['latest'])]))).result).toBe('imported');
    expect(await tagAt('latest')).toBe(one.digest);
  });

  it('waits for an operator at the quota, and where projects are not to be made', async () => {
    world.a.harbor.state.addProject(`project${projects}`, { public: 'false' }, 1000);
    const bundle = world.seal([imageArtifact(one, 'image', repository, ['1'])]);
    expect(await failureOf(run(bundle))).toBe('harbor-quota operator');
    expect(await tagAt('1')).toBeUndefined();
    const ports = { ...world.ports, projects: { create: false, metadata: {} } };
    const elsewhere = world.seal([imageArtifact(one, 'image', `other${projects}/x`, ['1'])]);
    expect(await failureOf(importBundle(ports, elsewhere))).toBe('harbor-project-missing operator');
  });

  it('goes on after every kind of failure at every stop', async () => {
    const bundle = world.seal([imageArtifact(index, 'image', repository, ['1'])]);
    const at = [
      /^HEAD .*\/projects\?/,
      /^POST .*\/projects$/,
      /^HEAD .*\/blobs\//,
      /^POST .*\/blobs\/uploads/,
      /^PUT .*\/blobs\/uploads/,
      /^PUT .*\/manifests\/sha256/,
      /^GET .*\/artifacts\/1\?/,
      /^POST .*\/tags$/,
      /^GET .*\/replication\/policies/,
      /^POST .*\/replication\/executions$/,
      /^GET .*\/replication\/executions\/\d+$/,
      /^GET \/v2\/.*\/manifests\//,
    ];
    const seen: string[] = [];
    for (const [i, match] of at.entries()) {
      // Twice: a connection that was cut while idle is made good at once, since that happens every day.
      world.a.harbor.fail(i % 2 === 0 ? { match, status: 502 } : { match, cut: true, times: 2 });
      seen.push(await failureOf(run(bundle)));
      world.a.harbor.clearFaults();
    }
    expect(new Set(seen)).toEqual(new Set(['registry-unavailable transient', 'registry-unreachable transient']));
    expect((await run(bundle)).result).toBe('imported');
  });

  it('tells a failed replication, and proof that is missing at the destination', async () => {
    const bundle = world.seal([imageArtifact(one, 'image', repository, ['1'])]);
    world.a.harbor.replications.failNext(1);
    expect(await failureOf(run(bundle))).toBe('replication-failed transient');
    const ports = { ...world.ports, replicationPolicies: [] };
    expect(await failureOf(importBundle(ports, bundle))).toMatch(
      /^(harbor-project-missing|replication-digest-missing) operator$/,
    );
    expect((await run(bundle)).result).toBe('imported');
    world.b.harbor.state.setTag(repository, '1', `sha256:${'1'.repeat(64)}`, true);
    expect(await failureOf(importBundle(ports, bundle))).toBe('replication-digest-missing operator');
  });

  it('ends with a receipt when the registry will never take the bundle', async () => {
    const bundle = world.seal([imageArtifact(one, 'image', repository, ['1'])]);
    world.a.harbor.fail({ match: /^PUT .*\/manifests\//, status: 413 });
    const outcome = await run(bundle);
    expect(outcome).toMatchObject({ result: 'failed', code: 'registry-too-large' });
    expect(world.receipt(outcome.receipt ?? '')).toMatchObject({
      bundle,
      result: 'failed',
      code: 'registry-too-large',
      artifacts: [],
    });
  });

  describe('refuses', () => {
    /** Nothing at all happened at the site, and no file came. */
    const untouched = (): void => {
      expect(world.a.harbor.state.repositories.get(repository)?.artifacts.size ?? 0).toBe(0);
    };

    it('a job that no statement in the store belongs to', async () => {
      const outcome = await run(`sha256:${'5'.repeat(64)}`);
      expect(outcome).toMatchObject({ result: 'refused', code: 'statement-missing', receipt: undefined });
    });

    it('a blob that is no statement, and a statement that somebody exchanged', async () => {
      expect(await run(one.digest)).toMatchObject({ result: 'refused', code: 'json-unknown-key', receipt: undefined });
      const bundle = world.seal([imageArtifact(one, 'image', repository, ['1'])]);
      const forged = world.seal([imageArtifact(two, 'image', repository, ['1'])]);
      world.store.blobs.set(bundle, world.store.blobs.get(forged) ?? Buffer.alloc(0));
      expect(await run(bundle)).toMatchObject({ result: 'refused', code: 'digest-mismatch', receipt: undefined });
      untouched();
    });

    it('a transport statement of a stranger', async () => {
      const bundle = world.seal([imageArtifact(one, 'image', repository, ['1'])], { signer: stranger });
      expect(await run(bundle)).toMatchObject({ result: 'refused', code: 'signer-unknown', receipt: undefined });
      untouched();
    });

    it("a release nobody approved, with the sender's place in the receipt", async () => {
      const bundle = world.seal([imageArtifact(one, 'image', repository, ['1'])], { releaseSigner: stranger });
      const outcome = await run(bundle);
      expect(outcome).toMatchObject({ result: 'refused', code: 'signer-unknown' });
      expect(world.receipt(outcome.receipt ?? '')).toMatchObject({ bundle, result: 'refused', code: 'signer-unknown' });
      untouched();
    });

    it('everything of who has the keys of the staging host and no more', async () => {
      const bundle = world.seal([imageArtifact(one, 'image', repository, ['1'])], { releaseSigner: transportSigner });
      expect(await run(bundle)).toMatchObject({ result: 'refused', code: 'signer-unknown' });
      untouched();
    });

    it.each([
      ['layer', () => layerOf(one)],
      ['manifest', () => one.digest],
    ])('a bundle whose %s was exchanged in the store, and changes no name', async (_what, which) => {
      const file = world.put(Buffer.from('never'));
      const bundle = world.seal([
        imageArtifact(two, 'good', repository, ['good']),
        imageArtifact(one, 'bad', repository, ['bad']),
        fileArtifact(file, 5, `never${projects}`),
      ]);
      // The registry must not have the layer already, or it would not be read at all.
      const fresh = await World.create();
      for (const [digest, bytes] of world.store.blobs) fresh.store.blobs.set(digest, bytes);
      fresh.store.blobs.set(which(), Buffer.from('evil'));
      const outcome = await importBundle({ ...fresh.ports, trust: world.ports.trust }, bundle);
      expect(outcome).toMatchObject({ result: 'refused', code: 'digest-mismatch' });
      const held = fresh.a.harbor.state.repositories.get(repository);
      expect([...(held?.tags.keys() ?? [])]).toEqual([]);
      expect(held?.artifacts.has(one.digest) ?? false).toBe(false);
      expect(existsSync(join(fresh.dir, 'files', `never${projects}`))).toBe(false);
      await fresh.stop();
    });

    it('what it cannot deliver, before anything is pushed', async () => {
      const git = {
        name: 'repo',
        type: 'git' as const,
        digest: one.digest,
        size: one.size,
        total: one.size,
        version: 1,
      };
      const mixed = [imageArtifact(one, 'image', repository, ['1']), { ...git, target: { repository: 'git/repo' } }];
      expect(await run(world.seal(mixed))).toMatchObject({ result: 'refused', code: 'unsupported-type' });
      const bare = [imageArtifact(one, 'image', 'busybox', ['1'])];
      expect(await run(world.seal(bare))).toMatchObject({ result: 'refused', code: 'repository-not-allowed' });
      untouched();
    });
  });

  describe('files', () => {
    it('do not go through a symbolic link, and replace one that has their name', async () => {
      mkdirSync(join(world.dir, 'outside'));
      symlinkSync(join(world.dir, 'outside'), join(world.dir, 'files', 'link'));
      const file = world.put(Buffer.from('x'));
      expect(await failureOf(run(world.seal([fileArtifact(file, 1, 'link/x')])))).toBe('files-symlink operator');
      expect(readdirSync(join(world.dir, 'outside'))).toEqual([]);
      expect((await run(world.seal([fileArtifact(file, 1, 'link')]))).result).toBe('imported');
      expect(readFileSync(join(world.dir, 'files', 'link'), 'utf8')).toBe('x');
      expect(readdirSync(join(world.dir, 'outside'))).toEqual([]);
    });

    it('may share content, need no replication, and are refused when exchanged', async () => {
      const file = world.put(Buffer.from('same'));
      expect((await run(world.seal([fileArtifact(file, 4, 'p/one'), fileArtifact(file, 4, 'p/two')]))).result).toBe(
        'imported',
      );
      expect(readdirSync(join(world.dir, 'files', 'p'))).toEqual(['one', 'two']);
      expect(stops()).not.toContain('replication');
      const other = world.put(Buffer.from('good'));
      world.store.blobs.set(other, Buffer.from('evil'));
      expect(await run(world.seal([fileArtifact(other, 4, 'p/one')]))).toMatchObject({ code: 'digest-mismatch' });
      expect(readFileSync(join(world.dir, 'files', 'p', 'one'), 'utf8')).toBe('same');
      const staging = world.seal([fileArtifact(file, 4, '.sluice/x')]);
      expect(await run(staging)).toMatchObject({ result: 'refused', code: 'path-outside-root' });
    });
  });
});
