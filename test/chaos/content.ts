import { createHash, randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export const MIB = 2 ** 20;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const INDEX = 'application/vnd.oci.image.index.v1+json';

/** A file of random bytes; gives its digest in hex. */
export function randomFile(path: string, bytes: number): string {
  const hash = createHash('sha256');
  const file = openSync(path, 'w');
  for (let at = 0; at < bytes; at += MIB) {
    const piece = randomBytes(Math.min(MIB, bytes - at));
    hash.update(piece);
    writeSync(file, piece);
  }
  closeSync(file);
  return hash.digest('hex');
}

/** SHA-256 of a file in hex. */
export function fileDigest(path: string): string {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(MIB);
  const file = openSync(path, 'r');
  for (let read = readSync(file, piece); read > 0; read = readSync(file, piece)) hash.update(piece.subarray(0, read));
  closeSync(file);
  return hash.digest('hex');
}

export interface Image {
  readonly dir: string;
  /** Digest of the manifest, in hex; of everything that belongs to the image. */
  readonly manifest: string;
  readonly blobs: readonly string[];
}

/** An OCI layout with one image of random layers, written by hand: nothing to compress, and no time lost. */
export function randomImage(dir: string, tag: string, layerBytes: readonly number[]): Image {
  const place = join(dir, 'blobs/sha256');
  mkdirSync(place, { recursive: true });
  const add = (bytes: Uint8Array, mediaType: string) => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(place, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const layers = layerBytes.map((bytes) => add(randomBytes(bytes), LAYER));
  const diffIds = layers.map(({ digest }) => digest);
  const settings = { architecture: 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: diffIds } };
  const config = add(Buffer.from(JSON.stringify(settings)), CONFIG);
  const manifest = add(
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config, layers })),
    MANIFEST,
  );
  writeFileSync(join(dir, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  const named = { ...manifest, annotations: { 'org.opencontainers.image.ref.name': tag } };
  writeFileSync(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [named] }));
  const hex = ({ digest }: { readonly digest: string }): string => digest.slice('sha256:'.length);
  return { dir, manifest: hex(manifest), blobs: [manifest, config, ...layers].map(hex) };
}
