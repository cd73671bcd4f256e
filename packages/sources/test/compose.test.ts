import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OCI_INDEX } from '@sluice/bundle';
import { composeRelease } from '../src/compose.ts';
import type { ComposeOptions, ReleaseArtifact } from '../src/compose.ts';
import { nameOf } from '../src/image-name.ts';
import { busyboxLayout, codeOf, digestOf, HandLayout, put, run, scratch, valueOf } from './tools.ts';

const options: ComposeOptions = { name: 'test', approvedBy: ['Ada'], repositoryOf: () => undefined };
const compose = async (paths: string[], over: Partial<ComposeOptions> = {}): Promise<readonly ReleaseArtifact[]> =>
  valueOf(await composeRelease(paths, { ...options, ...over })).statement.predicate.artifacts;

describe('names in layouts', () => {
  it.each<[Record<string, string>, object]>([
    [{}, {}],
    [{ 'org.opencontainers.image.ref.name': '1.35' }, { tag: '1.35' }],
    [
      { 'org.opencontainers.image.ref.name': 'docker.io/library/busybox:1.35' },
      { repository: 'library/busybox', tag: '1.35' },
    ],
    [{ 'org.opencontainers.image.ref.name': 'host:5000/a/b' }, { repository: 'a/b' }],
    [{ 'org.opencontainers.image.ref.name': 'a/b@sha256:00' }, { repository: 'a/b' }],
    [{ 'org.opencontainers.image.ref.name': 'busybox:1' }, { repository: 'busybox', tag: '1' }],
    [
      { 'org.opencontainers.image.ref.name': '1.35', 'io.containerd.image.name': 'localhost/x/y:1.35' },
      { repository: 'x/y', tag: '1.35' },
    ],
  ])('%j', (annotations, name) => {
    expect(nameOf({ mediaType: 'a/b', digest: digestOf(''), size: 0, annotations })).toEqual(name);
  });
});

describe('releases', () => {
  it('describes a real image, from a layout or an archive, and files', async () => {
    const root = put(scratch(), { 'files/etc/motd': 'hello', 'files/release.dsse.json': 'old', single: 'one' });
    const layout = busyboxLayout(join(root, 'busybox'));
    run('skopeo', 'copy', '-q', `oci:${layout}:1.35`, `oci-archive:${join(root, 'busybox.tar')}:1.35`);
    const repositoryOf = ({ path }: { path: string }): string =>
      path.includes('busybox') ? 'library/busybox' : 'other';
    const paths = [layout, join(root, 'files'), join(root, 'single')];
    const { statement, notes } = valueOf(await composeRelease(paths, { ...options, repositoryOf }));
    expect(notes).toEqual([]);
    const { artifacts, approvedBy } = statement.predicate;
    expect(approvedBy).toEqual(['Ada']);
    const raw = run('skopeo', 'inspect', '--raw', `oci:${layout}:1.35`);
    expect(artifacts).toEqual([
      {
        name: 'library/busybox:1.35',
        type: 'image',
        digest: digestOf(raw),
        size: raw.length,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        total: expect.any(Number) as number,
        target: { repository: 'library/busybox', tags: ['1.35'] },
      },
      { name: 'etc/motd', type: 'file', digest: digestOf('hello'), size: 5, total: 5, target: { path: 'etc/motd' } },
      { name: 'single', type: 'file', digest: digestOf('one'), size: 3, total: 3, target: { path: 'single' } },
    ]);
    expect(statement.subject).toEqual(
      artifacts.map(({ name, digest }) => ({ name, digest: { sha256: digest.slice(7) } })),
    );
    expect((await compose([join(root, 'busybox.tar')], { repositoryOf }))[0]?.digest).toBe(digestOf(raw));
  });

  it('keeps signatures and referrers beside their subjects, and after them', async () => {
    const layout = new HandLayout(join(scratch(), 'l'));
    const image = layout.manifest([layout.blob('app')]);
    const hex = image.digest.slice(7);
    layout.add(layout.manifest([layout.blob('signature')]), `sha256-${hex}.sig`);
    const sbom = layout.manifest([layout.blob('sbom')], { subject: image });
    const ofSbom = layout.manifest([layout.blob('of sbom')], { subject: sbom });
    layout.add(layout.document(OCI_INDEX, { manifests: [ofSbom] }), `sha256-${sbom.digest.slice(7)}`);
    layout.add(sbom);
    layout.add(image, 'registry.example/app:1');
    layout.add(image, 'registry.example/app:latest');
    layout.add(image, 'registry.example/copy:1');
    const artifacts = await compose([layout.path]);
    expect(artifacts.map(({ digest, target }) => [digest, target])).toEqual([
      [image.digest, { repository: 'app', tags: ['1', 'latest'] }],
      [image.digest, { repository: 'copy', tags: ['1'] }],
      [layout.manifests[0]?.digest, { repository: 'app', tags: [`sha256-${hex}.sig`] }],
      [layout.manifests[0]?.digest, { repository: 'copy', tags: [`sha256-${hex}.sig`] }],
      [sbom.digest, { repository: 'app', tags: [] }],
      [sbom.digest, { repository: 'copy', tags: [] }],
      [ofSbom.digest, { repository: 'app', tags: [] }],
      [ofSbom.digest, { repository: 'copy', tags: [] }],
    ]);
    expect(new Set(artifacts.map(({ name }) => name)).size).toBe(artifacts.length);
  });

  it('leaves out children that stand in the index beside their parent, and says what else it leaves out', async () => {
    const layout = new HandLayout(join(scratch(), 'l'));
    const child = layout.add(layout.manifest([layout.blob('x')]));
    layout.add(layout.document(OCI_INDEX, { manifests: [child] }), 'a/b:1');
    layout.add(layout.blob('text', 'text/plain'));
    put(layout.path, { 'manifest.json': '[]' });
    const composed = valueOf(await composeRelease([layout.path], { ...options, repositoryOf: () => 'a/b' }));
    expect(composed.statement.predicate.artifacts.map(({ name }) => name)).toEqual(['a/b:1']);
    expect(composed.notes).toHaveLength(2);
  });

  it('knows charts and CVE databases', async () => {
    const layout = new HandLayout(join(scratch(), 'l'));
    const config = layout.blob('{"name":"c"}', 'application/vnd.cncf.helm.config.v1+json');
    layout.add(layout.manifest([layout.blob('chart')], { config }), 'charts/c:1');
    const db = [layout.blob('db', 'application/vnd.aquasec.trivy.db.layer.v1.tar+gzip')];
    const annotations = { 'org.opencontainers.image.created': '2026-01-02T03:04:05Z' };
    layout.add(layout.manifest(db, { annotations }), 'aquasec/trivy-db:2');
    const artifacts = await compose([layout.path]);
    expect(artifacts.map(({ type, version }) => [type, version])).toEqual([
      ['chart', undefined],
      ['cve-db', Date.UTC(2026, 0, 2, 3, 4, 5) / 1000],
    ]);
    expect((await compose([layout.path], { versionOf: () => 7 }))[1]?.version).toBe(7);
    const undated = new HandLayout(join(scratch(), 'l'));
    undated.add(
      undated.manifest([undated.blob('db', 'application/vnd.aquasec.trivy.db.layer.v1.tar+gzip')]),
      'aquasec/trivy-db:2',
    );
    await expect(compose([undated.path])).rejects.toMatchObject({ code: 'release-version' });
  });

  it('asks the caller for what it cannot know', async () => {
    const layout = new HandLayout(join(scratch(), 'l'));
    const image = layout.add(layout.manifest([layout.blob('x')]), '1');
    await expect(compose([layout.path])).rejects.toMatchObject({ code: 'release-name' });
    await expect(compose([layout.path], { repositoryOf: () => 'Upper/Case' })).rejects.toMatchObject({
      code: 'release-name',
    });
    layout.add(layout.manifest([layout.blob('y')]), '1');
    await expect(compose([layout.path], { repositoryOf: () => 'a/b' })).rejects.toMatchObject({ code: 'release-name' });
    await expect(compose([join(layout.path, 'nowhere')])).rejects.toMatchObject({ code: 'source-io' });
    const files = put(scratch(), { 'a/x': '1', 'b/x': '2' });
    await expect(compose([join(files, 'a'), join(files, 'b')])).rejects.toMatchObject({ code: 'release-name' });
    put(layout.path, { [`blobs/sha256/${image.digest.slice(7)}`]: '{' });
    const damaged = await composeRelease([layout.path], { ...options, repositoryOf: () => 'a/b' });
    expect(codeOf(damaged)).toBe('size-mismatch');
  });
});
