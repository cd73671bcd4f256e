import { createHash } from 'node:crypto';
import { type Artifact, encodeRelease, OCI_MANIFEST, writePack } from '@sluice/bundle';
import type { Digest } from '@sluice/ports';
import type { SealedObject } from '@sluice/ledger';
import { signEnvelope } from '@sluice/trust';
import { Random } from '../random.ts';
import { KEYS } from './keys.ts';

export const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Why an input must not be let in. */
export type Evil = 'stranger' | 'too-few' | 'other-bytes';

/** What is handed in on the staging side. */
export interface Input {
  readonly id: string;
  readonly channel: string;
  readonly evil: Evil | undefined;
  readonly release: Uint8Array;
  /** What crosses the link beside the statements. */
  readonly objects: readonly (SealedObject & { readonly content: Uint8Array })[];
  /** Files by path, as they must arrive. */
  readonly files: ReadonlyMap<string, Digest>;
  /** Images by `repository:tag`, as they must arrive. */
  readonly tags: ReadonlyMap<string, Digest>;
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
  /** Nanoseconds of the world at which it is handed in. */
  readonly at: number;
}

export interface InputPlan {
  readonly id: string;
  readonly channel: string;
  readonly at: number;
  readonly evil: Evil | undefined;
  /** Sizes of its files. */
  readonly sizes: readonly number[];
  /** Places that bundles of the channel bring again and again. */
  readonly paths: readonly string[];
  /** Small blobs in a pack, or each by itself. */
  readonly packed: boolean;
  /** Bytes of the layer of an image, 0 for none. */
  readonly image: number;
  /** Bytes of what all inputs of a world have in common, as a file and below the layer of an image; 0 for none. */
  readonly base: number;
}

const baseOf = ({ base }: InputPlan): readonly Uint8Array[] => (base > 0 ? [new Random(base).bytes(base)] : []);

/** An image: its blobs, the manifest last, and the artifact that names it. */
function imageOf(
  plan: InputPlan,
  random: Random,
): { readonly blobs: readonly Uint8Array[]; readonly artifact: Artifact } {
  const { channel, id, image } = plan;
  const config = Buffer.from(JSON.stringify({ made: id, salt: random.word() }));
  const layers = [...baseOf(plan), random.bytes(image)];
  const named = (mediaType: string, bytes: Uint8Array): object => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const document = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: named('application/vnd.oci.image.config.v1+json', config),
    layers: layers.map((layer) => named('application/vnd.oci.image.layer.v1.tar', layer)),
  };
  const manifest = Buffer.from(JSON.stringify(document));
  const size = manifest.length;
  const artifact: Artifact = {
    ...{ name: `image-${id}`, type: 'image', digest: digestOf(manifest), size, mediaType: OCI_MANIFEST },
    total: layers.reduce((sum, layer) => sum + layer.length, size + config.length),
    target: { repository: `${channel}/app`, tags: ['latest'] },
  };
  return { blobs: [config, ...layers, manifest], artifact };
}

function objectOf(bytes: Uint8Array, contentType: SealedObject['contentType']): Input['objects'][number] {
  return { digest: digestOf(bytes), size: bytes.length, contentType, content: bytes };
}

/** An input by its plan, signed as its kind has it. */
export function makeInput(plan: InputPlan, random: Random): Input {
  const contents = [...plan.sizes.map((size) => random.bytes(Math.max(1, size))), ...baseOf(plan)];
  const files = new Map<string, Digest>();
  const blobs = new Map<Digest, Uint8Array>();
  const artifacts: Artifact[] = [];
  contents.forEach((bytes, i) => {
    const path = plan.paths[i] ?? `${plan.channel}/${plan.id}/${String(i)}`;
    const digest = digestOf(bytes);
    files.set(path, digest);
    blobs.set(digest, bytes);
    const size = bytes.length;
    artifacts.push({ name: path, type: 'file', digest, size, total: size, target: { path } });
  });
  const tags = new Map<string, Digest>();
  if (plan.image > 0) {
    const { blobs: made, artifact } = imageOf(plan, random);
    artifacts.push(artifact);
    tags.set(`${plan.channel}/app:latest`, artifact.digest);
    for (const bytes of made) blobs.set(digestOf(bytes), bytes);
  }
  const payload = encodeRelease({ name: plan.id, artifacts, approvedBy: ['Ada L.'] });
  const signers =
    plan.evil === 'stranger'
      ? [KEYS.stranger, KEYS.second]
      : plan.evil === 'too-few'
        ? [KEYS.release]
        : [KEYS.release, KEYS.second];
  const release = signEnvelope(
    payload,
    signers.map(({ signer }) => signer),
  );
  const carried = [...blobs].map(([digest, bytes]) => ({ digest, bytes }));
  const [first] = carried;
  if (plan.evil === 'other-bytes' && first !== undefined) {
    // Each bit turned over: of one byte a random one is the same now and then.
    const swapped = first.bytes.map((byte) => byte ^ 0xff);
    carried[0] = { digest: digestOf(swapped), bytes: swapped };
  }
  const objects = plan.packed
    ? [objectOf(writePack(carried), 'application/x-tar')]
    : carried.map(({ bytes }) => objectOf(bytes, 'application/octet-stream'));
  const { id, channel, evil, at } = plan;
  return { id, channel, evil, release, objects, files, tags, blobs, at };
}
