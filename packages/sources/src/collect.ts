import { ok, refuse } from '@sluice/ports';
import type { Digest, Result, Staging } from '@sluice/ports';
import { closureOf, OCI_MANIFEST_BYTES } from '@sluice/bundle';
import type { Closure, ClosureEntry } from '@sluice/bundle';
import { guarded, readAll } from './beneath.ts';
import { checkDigest, Content } from './content.ts';
import type { LinkObject } from './pack.ts';
import { RELEASE_FILE, shown } from './scan.ts';
import type { Scan } from './scan.ts';
import { takeIn } from './take-in.ts';
import type { Wanted } from './take-in.ts';

/** What collection needs to know of an artifact of a release statement (PROTOCOL.md section 8). */
export interface WantedArtifact {
  readonly name: string;
  readonly type: string;
  readonly digest: Digest;
  readonly size: number;
  readonly total: number;
  readonly mediaType?: string | undefined;
}

export interface Collected {
  /** The link objects of the bundle: packs of the small blobs, then the large ones as they are, by digest. */
  readonly objects: readonly LinkObject[];
  /** Content blobs of the bundle, each once. */
  readonly blobs: number;
  readonly bytes: number;
}

export interface CollectOptions {
  /** Most bytes of content in one bundle. */
  readonly bundleBytes: number;
  /** True when files of the bundle may be moved into the staging store. */
  readonly canMove: boolean;
}

/** The bytes of `release.dsse.json`. Refuses with `release-missing` or `statement-too-large`. */
export async function readRelease(scan: Scan, limit: number): Promise<Result<Uint8Array>> {
  const { release } = scan;
  if (release === undefined) {
    return refuse('release-missing', `The bundle has no ${RELEASE_FILE}; make it with sluice release create and sign.`);
  }
  return guarded(`Reading ${RELEASE_FILE}`, () => {
    const bytes = readAll(scan.root.read(release), limit);
    return bytes.length > limit ? refuse('statement-too-large', `${RELEASE_FILE} is over ${limit} bytes.`) : ok(bytes);
  });
}

/**
 * Takes everything that the artifacts need out of a scanned bundle into the staging store: small blobs into packs, large ones as they are, each hashed
 * once. Large ones that the staging store has need not be in the bundle. All closures are read and counted before the first blob is taken in. Nothing is
 * committed: that is the caller's. Refuses with `blob-missing`, `digest-mismatch`, `size-mismatch`, `total-mismatch`, `bundle-too-large`,
 * `manifest-malformed` and the other codes of closures.
 */
export async function collect(
  scan: Scan,
  artifacts: readonly WantedArtifact[],
  staging: Staging,
  limits: CollectOptions,
): Promise<Result<Collected>> {
  return guarded('Reading the bundle', async () => {
    const content = new Content(scan);
    const wanted = await plan(content, artifacts, staging, limits);
    if (!wanted.ok) return wanted;
    const objects = await takeIn(scan, content, wanted.value.blobs, staging, limits.canMove);
    if (!objects.ok) return objects;
    return ok({ objects: objects.value, blobs: wanted.value.blobs.size, bytes: wanted.value.bytes });
  });
}

interface Plan {
  readonly blobs: ReadonlyMap<Digest, Wanted>;
  readonly bytes: number;
}

async function plan(
  content: Content,
  artifacts: readonly WantedArtifact[],
  staging: Staging,
  limits: CollectOptions,
): Promise<Result<Plan>> {
  const blobs = new Map<Digest, Wanted>();
  let bytes = 0;
  for (const artifact of artifacts) {
    const entries = await entriesOf(content, artifact, staging);
    if (!entries.ok) return entries;
    for (const { digest, size } of entries.value) {
      const known = blobs.get(digest);
      if (known?.size === size) continue;
      if (known !== undefined) {
        return refuse(
          'size-mismatch',
          `${digest} has ${size} bytes for ${named(artifact)} and ${known.size} for ${known.of}; make the release again.`,
        );
      }
      blobs.set(digest, { size, of: named(artifact) });
      bytes += size;
      if (bytes > limits.bundleBytes) {
        return refuse(
          'bundle-too-large',
          `The bundle has over ${limits.bundleBytes} bytes of content; split it, or raise bundleBytes.`,
        );
      }
    }
  }
  return ok({ blobs, bytes });
}

const named = (artifact: WantedArtifact): string => `artifact ${shown(artifact.name)}`;

/** What one artifact needs; its total is checked. */
async function entriesOf(
  content: Content,
  artifact: WantedArtifact,
  staging: Staging,
): Promise<Result<readonly Pick<ClosureEntry, 'digest' | 'size'>[]>> {
  const { digest, size, total, mediaType } = artifact;
  let closure: { readonly entries: readonly Pick<ClosureEntry, 'digest' | 'size'>[]; readonly total: number };
  if (mediaType === undefined) closure = { entries: [{ digest, size }], total: size };
  else {
    const read = await imageOf(content, { ...artifact, mediaType }, staging);
    if (!read.ok) return refuse(read.error.code, `${named(artifact)}: ${read.error.detail}`);
    closure = read.value;
  }
  if (closure.total === total) return ok(closure.entries);
  return refuse(
    'total-mismatch',
    `${named(artifact)} needs ${closure.total} bytes where the release says ${total}; make the release again.`,
  );
}

function imageOf(
  content: Content,
  artifact: WantedArtifact & { readonly mediaType: string },
  staging: Staging,
): Promise<Result<Closure>> {
  return closureOf(artifact, (digest, size) => {
    const limit = Math.min(size, OCI_MANIFEST_BYTES);
    if (content.blobs.has(digest) || !staging.holds(digest, limit))
      return Promise.resolve(content.readVerified(digest, limit, named(artifact)));
    // A large manifest that an earlier try of this input took over already.
    const bytes = readAll(staging.read(digest), limit);
    return Promise.resolve(checkDigest(bytes, digest, { path: digest, offset: 0, size }));
  });
}
