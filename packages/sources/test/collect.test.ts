import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OCI_INDEX, OCI_MANIFEST } from '@sluice/bundle';
import type { Digest } from '@sluice/ports';
import { collect, readRelease } from '../src/collect.ts';
import type { Collected, WantedArtifact } from '../src/collect.ts';
import { composeRelease } from '../src/compose.ts';
import { Packer } from '../src/pack.ts';
import { scanDirectory } from '../src/scan.ts';
import { busyboxLayout, codeOf, digestOf, HandLayout, MemoryStaging, put, run, scratch, valueOf } from './tools.ts';
import type { Target } from './tools.ts';
import type { Result } from '@sluice/ports';

async function collected(
  bundle: string,
  artifacts: readonly WantedArtifact[],
  { bundleBytes = 2 ** 30, staging = new MemoryStaging(), canMove = true } = {},
): Promise<Result<Collected>> {
  const scan = valueOf(await scanDirectory(bundle));
  try {
    const result = await collect(scan, artifacts, staging, { bundleBytes, canMove });
    if (result.ok) await staging.commit();
    return result;
  } finally {
    scan.root.close();
  }
}

const artifactsOf = async (...paths: string[]): Promise<readonly WantedArtifact[]> => {
  const composed = await composeRelease(paths, { name: 'test', approvedBy: [], repositoryOf: () => 'library/busybox' });
  return valueOf(composed).statement.predicate.artifacts;
};

const fileArtifact = (bytes: string): WantedArtifact => ({
  name: 'motd',
  type: 'file',
  digest: digestOf(bytes),
  size: bytes.length,
  total: bytes.length,
});

const imageOf = ({ mediaType, digest, size }: Target, total: number): WantedArtifact => ({
  name: 'image',
  type: 'image',
  mediaType,
  digest,
  size,
  total,
});

describe('collecting', () => {
  it('takes a real image, from a directory or an archive, and a file into the store', async () => {
    const bundle = put(scratch(), { 'etc/motd': 'hello', 'release.dsse.json': 'signed' });
    const layout = busyboxLayout(join(bundle, 'layout'));
    const artifacts = await artifactsOf(bundle);
    expect(artifacts.map(({ type }) => type)).toEqual(['image', 'file']);
    const staging = new MemoryStaging();
    const fromDirectory = valueOf(await collected(bundle, artifacts, { staging }));
    const contents = staging.contents(fromDirectory.objects);
    for (const [digest, bytes] of contents) expect(digestOf(bytes)).toBe(digest);
    // A layer, its config, the manifest and the file.
    expect(fromDirectory.blobs).toBe(4);
    expect(contents.size).toBe(4);
    expect([...contents.keys()]).toEqual(expect.arrayContaining(artifacts.map(({ digest }) => digest)));
    expect(fromDirectory.bytes).toBe(artifacts.reduce((sum, { total }) => sum + total, 0));
    expect(fromDirectory.bytes).toBe([...contents.values()].reduce((sum, bytes) => sum + bytes.length, 0));
    expect(staging.copies).toBe(0);

    run('skopeo', 'copy', '-q', `oci:${layout}:1.35`, `oci-archive:${join(bundle, 'x.tar')}:1.35`);
    rmSync(layout, { recursive: true });
    const fromArchive = new MemoryStaging();
    const result = valueOf(await collected(bundle, artifacts, { staging: fromArchive }));
    expect([...fromArchive.contents(result.objects).keys()].sort()).toEqual([...contents.keys()].sort());
    expect(fromArchive.copies).toBe(1);

    const scan = valueOf(await scanDirectory(bundle));
    expect(Buffer.from(valueOf(await readRelease(scan, 100))).toString()).toBe('signed');
    expect(codeOf(await readRelease(scan, 5))).toBe('statement-too-large');
    expect(codeOf(await readRelease({ ...scan, release: undefined }, 5))).toBe('release-missing');
    scan.root.close();
  });

  it('takes a multi-arch index of two images by umoci, and a referrer', async () => {
    const path = busyboxLayout(join(scratch(), 'l'));
    run('umoci', 'config', '--image', `${path}:1.35`, '--tag', 'arm', '--architecture', 'arm64');
    const layout = new HandLayout(path);
    const [amd64, arm64] = layout.manifests;
    const index = layout.add(layout.document(OCI_INDEX, { manifests: [amd64, arm64] }), 'multi');
    layout.add(layout.manifest([layout.blob('sbom')], { subject: index, artifactType: 'application/spdx+json' }));
    const digest = run('sh', '-c', `skopeo inspect --raw oci:${path}:multi | sha256sum`).slice(0, 64);
    expect(index.digest).toBe(`sha256:${digest}`);
    const artifacts = await artifactsOf(path);
    expect(artifacts.map(({ name }) => name)).toEqual([
      'library/busybox:1.35',
      'library/busybox:arm',
      'library/busybox:multi',
      expect.stringMatching(/^library\/busybox@sha256:/),
    ]);
    const staging = new MemoryStaging();
    const multi = valueOf(await collected(path, artifacts.slice(2, 3), { staging }));
    // The layer is shared; each image has its own config and manifest.
    const sizes = [...staging.contents(multi.objects).values()].map(({ length }) => length);
    expect(sizes).toHaveLength(6);
    expect(artifacts[2]?.total).toBe(sizes.reduce((sum, size) => sum + size, 0));
    expect(valueOf(await collected(path, artifacts)).blobs).toBe(9);
  });

  it('finds files by their bytes, also among several of one size', async () => {
    const bundle = put(scratch(), { a: 'one', b: 'two', c: 'six' });
    expect(codeOf(await collected(bundle, [fileArtifact('two')]))).toBe('ok');
    expect(codeOf(await collected(bundle, [fileArtifact('ten')]))).toBe('blob-missing');
  });

  it('copies large files that cannot be moved, and finds them among others of one size', async () => {
    const contents = ['a', 'b', 'c'].map((letter) => letter.repeat(300_000));
    const bundle = put(scratch(), Object.fromEntries(contents.map((bytes, i) => [`file-${String(i)}`, bytes])));
    const wanted = contents.slice(1).map(fileArtifact);
    for (const canMove of [true, false]) {
      const staging = new MemoryStaging();
      const { objects } = valueOf(await collected(bundle, wanted, { staging, canMove }));
      expect([...staging.contents(objects).keys()].sort()).toEqual(wanted.map(({ digest }) => digest).sort());
      expect(staging.blobs.size).toBe(2);
      // The one that nobody wants is read to know that.
      expect(staging.copies).toBe(canMove ? 0 : 3);
    }
  });

  it('needs no large blob that the store has, nor one of a manifest', async () => {
    const large = 'x'.repeat(300_000);
    const bundle = put(scratch(), { large, small: 'small' });
    const layout = new HandLayout(join(bundle, 'l'));
    const image = layout.manifest([], { annotations: { padding: large } });
    const artifacts = [fileArtifact(large), fileArtifact('small'), imageOf(image, image.size + 2)];
    const staging = new MemoryStaging();
    const first = valueOf(await collected(bundle, artifacts, { staging }));
    rmSync(join(bundle, 'large'));
    rmSync(join(layout.path, 'blobs/sha256', image.digest.slice(7)));
    expect(valueOf(await collected(bundle, artifacts, { staging }))).toEqual(first);
    expect(codeOf(await collected(bundle, artifacts))).toBe('blob-missing');
    rmSync(join(bundle, 'small'));
    expect(codeOf(await collected(bundle, artifacts.slice(0, 2), { staging }))).toBe('blob-missing');
  });

  it('takes 3,000 files of one size by their bytes', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 3000 }, (_, i) => [`d${String(i % 7)}/${String(i)}`, String(i).padStart(5, '0')]),
    );
    const bundle = put(scratch(), files);
    const wanted = Object.values(files).map((bytes) => ({ ...fileArtifact(bytes), name: 'other' }));
    expect(valueOf(await collected(bundle, wanted.toReversed())).blobs).toBe(3000);
  });
});

describe('many files, read by two threads', () => {
  const MANY = 2500;
  const bytesOf = (i: number): Buffer => Buffer.alloc(2000 + (i % 3), String(i).padStart(4, '0'));
  const names = Array.from({ length: MANY }, (_, i) => `d/${String(i).padStart(4, '0')}`);
  const bundleOf = (): string => put(scratch(), Object.fromEntries(names.map((name, i) => [name, bytesOf(i)])));
  const wanted = names.map((_, i) => fileArtifact(bytesOf(i).toString()));

  it('come into the packs in the order of the bundle, with their own bytes', async () => {
    const staging = new MemoryStaging();
    const { objects } = valueOf(await collected(bundleOf(), wanted, { staging }));
    const packer = new Packer(new MemoryStaging());
    for (const i of names.keys()) await packer.add(digestOf(bytesOf(i)), bytesOf(i));
    await packer.end();
    expect(objects).toEqual(packer.objects);
    expect(objects.length).toBeGreaterThan(1);
    const contents = staging.contents(objects);
    expect(contents.size).toBe(MANY);
    for (const [digest, bytes] of contents) expect(digestOf(bytes)).toBe(digest);
  });

  it('refuse the bundle when one became a link since it was seen, or has other bytes, whoever reads it', async () => {
    const bundle = bundleOf();
    for (const i of [0, 130, 300, MANY - 1]) {
      const scan = valueOf(await scanDirectory(bundle));
      const path = join(bundle, names[i] ?? '');
      rmSync(path);
      symlinkSync('/etc/passwd', path);
      const result = await collect(scan, wanted, new MemoryStaging(), { bundleBytes: 2 ** 30, canMove: true });
      scan.root.close();
      expect(codeOf(result)).toBe('special-file');
      rmSync(path);
      writeFileSync(path, Buffer.alloc(bytesOf(i).length, 'x'));
      expect(codeOf(await collected(bundle, wanted))).toBe('blob-missing');
      writeFileSync(path, bytesOf(i));
    }
    expect((await collected(bundle, wanted)).ok).toBe(true);
  });
});

describe('refusals', () => {
  it('digest-mismatch names the file: small, large and plain', async () => {
    const bundle = scratch();
    const layout = busyboxLayout(join(bundle, 'l'));
    const artifacts = await artifactsOf(layout);
    const scan = valueOf(await scanDirectory(bundle));
    const locations = [...(scan.layouts[0]?.blobs.values() ?? [])];
    scan.root.close();
    expect(locations.some(({ size }) => size > 262_144) && locations.some(({ size }) => size < 262_144)).toBe(true);
    for (const { path, size } of locations) {
      const spoilt = join(scratch(), 'copy');
      run('cp', '-r', bundle, spoilt);
      writeFileSync(join(spoilt, path), Buffer.alloc(size, 1));
      const result = await collected(spoilt, artifacts);
      // umoci leaves blobs of earlier states of the image in the layout; those are nobody's.
      if (result.ok) continue;
      expect(result.error).toMatchObject({ code: 'digest-mismatch', detail: expect.stringContaining(path) as string });
    }
    const file = await collected(put(scratch(), { motd: 'evil' }), [fileArtifact('good')]);
    expect(codeOf(file)).toBe('digest-mismatch');
  });

  it('size-mismatch, total-mismatch, bundle-too-large', async () => {
    const bundle = scratch();
    const layout = new HandLayout(join(bundle, 'l'));
    const layer = layout.blob('layer');
    const image = layout.manifest([layer]);
    const total = image.size + 5 + 2;
    expect(codeOf(await collected(bundle, [imageOf(image, total)]))).toBe('ok');
    expect(codeOf(await collected(bundle, [imageOf(image, total + 1)]))).toBe('total-mismatch');
    expect(codeOf(await collected(bundle, [imageOf({ ...image, size: image.size + 1 }, total)]))).toBe('size-mismatch');
    expect(codeOf(await collected(bundle, [imageOf(image, total)], { bundleBytes: total - 1 }))).toBe(
      'bundle-too-large',
    );
    writeFileSync(join(layout.path, 'blobs/sha256', layer.digest.slice(7)), 'layer longer');
    expect(codeOf(await collected(bundle, [imageOf(image, total)]))).toBe('size-mismatch');
  });

  it('blob-missing, or why the archive that may have it could not be read', async () => {
    const bundle = scratch();
    const layout = new HandLayout(join(bundle, 'l'));
    const image = layout.manifest([{ mediaType: 'a/b', digest: digestOf('gone'), size: 4 }]);
    expect(codeOf(await collected(bundle, [imageOf(image, image.size + 6)]))).toBe('blob-missing');
    expect(codeOf(await collected(bundle, [fileArtifact('nothing of that size')]))).toBe('blob-missing');
    symlinkSync('/etc/passwd', join(scratch(), 'x'));
    const links = scratch();
    symlinkSync('/etc/passwd', join(links, 'x'));
    run('tar', '-C', links, '-cf', join(bundle, 'x.tar'), '.');
    expect(codeOf(await collected(bundle, [imageOf(image, image.size + 6)]))).toBe('special-file');
  });

  it('what a manifest is refused for', async () => {
    const bundle = scratch();
    const layout = new HandLayout(join(bundle, 'l'));
    const cases: [string, Target][] = [
      [
        'non-distributable',
        layout.manifest([
          { ...layout.blob('w'), mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar' },
        ]),
      ],
      ['digest-algorithm', layout.manifest([{ ...layout.blob('w'), digest: `sha512:${'ab'.repeat(64)}` as Digest }])],
      ['manifest-malformed', layout.blob('{}', OCI_MANIFEST)],
      ['json-malformed', layout.blob('{', OCI_MANIFEST)],
      ['json-duplicate-key', layout.blob('{"schemaVersion":2,"schemaVersion":2}', OCI_MANIFEST)],
      ['manifest-too-large', layout.blob(' '.repeat(4 * 1024 * 1024 + 1), OCI_MANIFEST)],
    ];
    for (const [code, target] of cases) expect(codeOf(await collected(bundle, [imageOf(target, 1)]))).toBe(code);
  });
});

describe('link objects', () => {
  it('packs small blobs, 4 MiB at most, and leaves large ones', async () => {
    const contents = [
      ...Array.from({ length: 40 }, (_, i) => Buffer.alloc(200_000, i + 1)),
      Buffer.alloc(262_144),
      Buffer.alloc(0),
    ];
    const files = Object.fromEntries(contents.map((bytes, i) => [`f${String(i)}`, bytes]));
    const bundle = put(scratch(), files);
    const wanted = contents.map((bytes) => ({
      ...fileArtifact('x'),
      digest: digestOf(bytes),
      size: bytes.length,
      total: bytes.length,
    }));
    const staging = new MemoryStaging();
    const { objects } = valueOf(await collected(bundle, wanted, { staging }));
    expect(valueOf(await collected(bundle, wanted.toReversed())).objects).toEqual(objects);
    expect(objects.map(({ contentType }) => contentType)).toEqual([
      'application/x-tar',
      'application/x-tar',
      'application/octet-stream',
    ]);
    for (const { size } of objects.slice(0, 2)) expect(size).toBeLessThanOrEqual(4 * 1024 * 1024);
    const found = staging.contents(objects);
    for (const [digest, bytes] of found) expect(digestOf(bytes)).toBe(digest);
    expect([...found.keys()].sort()).toEqual(wanted.map(({ digest }) => digest).sort());
    expect(objects[2]).toEqual({
      digest: digestOf(Buffer.alloc(262_144)),
      size: 262_144,
      contentType: 'application/octet-stream',
    });
    expect(valueOf(await collected(bundle, [])).objects).toEqual([]);
  });
});
