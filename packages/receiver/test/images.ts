import { randomBytes } from 'node:crypto';
import { type Artifact, OCI_INDEX, OCI_MANIFEST } from '@sluice/bundle';
import { digestOf } from './bundles.ts';

const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

export const descriptor = (bytes: Uint8Array, mediaType: string) => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});
export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** An image of two platforms that share a layer: an index, two manifests, two configs, three layers. */
export function image() {
  const layers = [randomBytes(300_000), randomBytes(900), randomBytes(1000)] as const;
  const configs = [json({ os: 'a' }), json({ os: 'b' })] as const;
  const manifests = configs.map((config, i) =>
    json({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: descriptor(config, CONFIG),
      layers: [layers[0], layers[i + 1] ?? layers[1]].map((layer) => descriptor(layer, LAYER)),
    }),
  );
  const index = json({
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: manifests.map((bytes) => descriptor(bytes, OCI_MANIFEST)),
  });
  const blobs = [index, ...manifests, ...configs, ...layers];
  const artifact: Artifact = {
    name: 'app',
    type: 'image',
    digest: digestOf(index),
    size: index.length,
    total: blobs.reduce((sum, { length }) => sum + length, 0),
    mediaType: OCI_INDEX,
    target: { repository: 'library/app', tags: ['1'] },
  };
  return { manifests, layers, blobs, artifact };
}
