import { describe, expect, it } from 'vitest';
import {
  cosignTag,
  kindOf,
  OCI_INDEX,
  OCI_MANIFEST,
  parseLayoutIndex,
  parseManifest,
  parseOciLayout,
  referrersTag,
} from '../src/oci.ts';

const HEX = 'ab'.repeat(32);
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const descriptor = (over: Record<string, unknown> = {}): Record<string, unknown> => ({
  mediaType: 'application/vnd.oci.image.config.v1+json',
  digest: `sha256:${HEX}`,
  size: 3,
  ...over,
});
const manifest = (over: Record<string, unknown> = {}): Record<string, unknown> => ({
  schemaVersion: 2,
  config: descriptor(),
  layers: [descriptor({ mediaType: 'application/vnd.oci.image.layer.v1.tar' })],
  ...over,
});
const codeOf = (value: unknown, mediaType = OCI_MANIFEST): string => {
  const read = parseManifest(json(value), mediaType);
  return read.ok ? 'ok' : read.error.code;
};
const withLayer = (over: Record<string, unknown>): string => codeOf(manifest({ layers: [descriptor(over)] }));

describe('manifests and indexes', () => {
  it('reads a manifest with subject, artifact type and annotations', () => {
    const read = parseManifest(
      json(manifest({ subject: descriptor({ size: 9 }), artifactType: 'application/x', annotations: { a: 'b' } })),
      OCI_MANIFEST,
    );
    expect(read).toMatchObject({
      ok: true,
      value: { kind: 'manifest', artifactType: 'application/x', subject: { size: 9 }, annotations: { a: 'b' } },
    });
  });

  it('reads Docker manifests and lists by their media types', () => {
    expect(codeOf(manifest(), 'application/vnd.docker.distribution.manifest.v2+json')).toBe('ok');
    const list = { schemaVersion: 2, manifests: [descriptor({ mediaType: OCI_MANIFEST })] };
    expect(codeOf(list, 'application/vnd.docker.distribution.manifest.list.v2+json')).toBe('ok');
    expect(kindOf('application/vnd.example.unknown')).toBe('blob');
  });

  it('takes index.json without a media type and keeps unknown types in it', () => {
    const index = { schemaVersion: 2, manifests: [descriptor({ mediaType: 'text/plain' })] };
    expect(parseLayoutIndex(json(index))).toMatchObject({
      ok: true,
      value: { manifests: [{ mediaType: 'text/plain' }] },
    });
  });

  it.each<[string, unknown]>([
    ['a list', []],
    ['schema version 1', manifest({ schemaVersion: 1 })],
    ['another media type inside', manifest({ mediaType: OCI_INDEX })],
    ['manifests in a manifest', manifest({ manifests: [] })],
    ['no config', manifest({ config: undefined })],
    ['no layers', manifest({ layers: undefined })],
    ['too many layers', manifest({ layers: Array.from({ length: 10_001 }, () => 1) })],
    ['annotations that are no strings', manifest({ annotations: { a: 1 } })],
    ['a subject that is no descriptor', manifest({ subject: 'x' })],
  ])('manifest-malformed: %s', (_, value) => expect(codeOf(value)).toBe('manifest-malformed'));

  it.each<[string, Record<string, unknown>]>([
    ['a size that is no integer', { size: 1.5 }],
    ['a negative size', { size: -1 }],
    ['an unsafe size', { size: 2 ** 53 }],
    ['a size that is text', { size: '3' }],
    ['a size over the limit', { size: 2 ** 40 + 1 }],
    ['a short digest', { digest: 'sha256:abc' }],
    ['an upper-case digest', { digest: `sha256:${HEX.toUpperCase()}` }],
    ['no digest', { digest: undefined }],
    ['no media type', { mediaType: undefined }],
    ['a media type with a line break', { mediaType: 'a/b\nc' }],
    ['a Docker schema 1 image', { mediaType: 'application/vnd.docker.distribution.manifest.v1+prettyjws' }],
  ])('manifest-malformed: a descriptor with %s', (_, over) => expect(withLayer(over)).toBe('manifest-malformed'));

  it.each(['{"schemaVersion":2,"config":{},', '{"schemaVersion":2,"annotations":{"a":"b","\\u0061":"c"},'])(
    'json-duplicate-key: a key that is there twice, which others would read as the first or the last: %s',
    (start) => {
      const bytes = Buffer.from(start + JSON.stringify(manifest()).slice(1));
      for (const mediaType of [OCI_MANIFEST, OCI_INDEX]) {
        expect(parseManifest(bytes, mediaType)).toMatchObject({ error: { code: 'json-duplicate-key' } });
      }
    },
  );

  it('digest-algorithm: anything but sha256', () => {
    expect(withLayer({ digest: `sha512:${HEX}${HEX}` })).toBe('digest-algorithm');
    expect(withLayer({ digest: 'md5:00' })).toBe('digest-algorithm');
  });

  it.each([
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  ])('non-distributable: %s', (mediaType) => expect(withLayer({ mediaType })).toBe('non-distributable'));

  it('refuses an index that has the members of a manifest', () => {
    expect(codeOf({ schemaVersion: 2, manifests: [], layers: [] }, OCI_INDEX)).toBe('manifest-malformed');
    expect(codeOf({ schemaVersion: 2, manifests: [], config: {} }, OCI_INDEX)).toBe('manifest-malformed');
    expect(codeOf(manifest(), 'text/plain')).toBe('manifest-malformed');
  });

  it('bounds and decodes', () => {
    const big = parseManifest(new Uint8Array(4 * 1024 * 1024 + 1), OCI_MANIFEST);
    expect(big).toMatchObject({ ok: false, error: { code: 'manifest-too-large' } });
    expect(parseManifest(Buffer.from('{'), OCI_MANIFEST)).toMatchObject({
      ok: false,
      error: { code: 'json-malformed' },
    });
    expect(parseManifest(Buffer.from([0xff]), OCI_MANIFEST)).toMatchObject({
      ok: false,
      error: { code: 'json-malformed' },
    });
    expect(parseOciLayout(json({ imageLayoutVersion: '1.0.0' })).ok).toBe(true);
    expect(parseOciLayout(json({ imageLayoutVersion: '2.0.0' }))).toMatchObject({
      error: { code: 'layout-malformed' },
    });
    expect(parseOciLayout(Buffer.from('no'))).toMatchObject({ error: { code: 'layout-malformed' } });
  });
});

describe('tags', () => {
  it('knows the tags of cosign and of the referrers tag schema', () => {
    expect(cosignTag(`sha256-${HEX}.att`)).toEqual({ subject: `sha256:${HEX}`, kind: 'att' });
    expect(cosignTag(`sha256-${HEX}`)).toBeUndefined();
    expect(cosignTag('1.35')).toBeUndefined();
    expect(referrersTag(`sha256-${HEX}`)).toBe(`sha256:${HEX}`);
    expect(referrersTag(`sha256-${HEX}.sig`)).toBeUndefined();
  });
});
