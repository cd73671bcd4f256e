import { ok, OperationalError, refuse } from '@sluice/ports';
import type { BlobStore, Digest, Result } from '@sluice/ports';
import { closureOf, OCI_MANIFEST_BYTES, PACK_MEMBER_LIMIT } from '@sluice/bundle';
import type { Closure, ClosureEntry } from '@sluice/bundle';
import { guarded, readAll } from './beneath.ts';
import type { Location, Root } from './beneath.ts';
import { checkDigest, Content } from './content.ts';
import { RELEASE_FILE, shown } from './scan.ts';
import type { Scan } from './scan.ts';

/** What collection needs to know of an artifact of a release statement (PROTOCOL.md section 8). */
export interface WantedArtifact {
  readonly name: string;
  readonly type: string;
  readonly digest: Digest;
  readonly size: number;
  readonly total: number;
  readonly mediaType?: string | undefined;
}

export interface CollectedArtifact {
  readonly name: string;
  /** What it needs, each once, in the order of B-4: blobs, children, self. */
  readonly entries: readonly ClosureEntry[];
}

export interface Collected {
  readonly artifacts: readonly CollectedArtifact[];
  /** Content blobs of the bundle, each once. */
  readonly blobs: readonly { readonly digest: Digest; readonly size: number }[];
  readonly bytes: number;
}

export interface CollectLimits {
  /** Most bytes of content in one bundle. */
  readonly bundleBytes: number;
}

/** Small blobs are handed to the store in batches of this many bytes. */
const BATCH_BYTES = 8 * 1024 * 1024;

/** The bytes of `release.dsse.json`. Refuses with `release-missing` or `statement-too-large`. */
export async function readRelease(scan: Scan, limit: number): Promise<Result<Uint8Array>> {
  if (scan.release === undefined) {
    return refuse('release-missing', `The bundle has no ${RELEASE_FILE}; make it with sluice release create and sign.`);
  }
  const source = scan.root.read(scan.release);
  return guarded(`Reading ${RELEASE_FILE}`, async () => {
    const bytes = await readAll(source, limit);
    return bytes.length > limit ? refuse('statement-too-large', `${RELEASE_FILE} is over ${limit} bytes.`) : ok(bytes);
  });
}

/**
 * Takes everything that the artifacts need out of a scanned bundle into the staging store, hashed on the way. All closures are read and counted before
 * the first blob is taken in. Refuses with `blob-missing`, `digest-mismatch`, `size-mismatch`, `total-mismatch`, `bundle-too-large`, `manifest-malformed`
 * and the other codes of closures. What is in the store after a refusal may be collected as garbage.
 */
export async function collect(
  scan: Scan,
  artifacts: readonly WantedArtifact[],
  store: BlobStore,
  limits: CollectLimits,
): Promise<Result<Collected>> {
  return guarded('Reading the bundle', async () => {
    const planned = await plan(new Content(scan), artifacts, limits);
    if (!planned.ok) return planned;
    const taken = await takeIn(scan.root, planned.value.locations, store);
    if (!taken.ok) return taken;
    const blobs = [...planned.value.locations].map(([digest, { size }]) => ({ digest, size }));
    return ok({ artifacts: planned.value.artifacts, blobs, bytes: planned.value.bytes });
  });
}

interface Plan {
  readonly artifacts: readonly CollectedArtifact[];
  readonly locations: ReadonlyMap<Digest, Location>;
  readonly bytes: number;
}

async function plan(
  content: Content,
  artifacts: readonly WantedArtifact[],
  limits: CollectLimits,
): Promise<Result<Plan>> {
  const locations = new Map<Digest, Location>();
  const collected: CollectedArtifact[] = [];
  let bytes = 0;
  for (const artifact of artifacts) {
    const entries = await entriesOf(content, artifact);
    if (!entries.ok) return entries;
    for (const { digest, size } of entries.value) {
      const known = locations.get(digest);
      if (known?.size === size) continue;
      const location = await content.locate(digest, size, named(artifact));
      if (!location.ok) return location;
      locations.set(digest, location.value);
      bytes += size;
      if (bytes > limits.bundleBytes) {
        return refuse(
          'bundle-too-large',
          `The bundle has over ${limits.bundleBytes} bytes of content; split it, or raise bundleBytes.`,
        );
      }
    }
    collected.push({ name: artifact.name, entries: entries.value });
  }
  return ok({ artifacts: collected, locations, bytes });
}

const named = (artifact: WantedArtifact): string => `artifact ${shown(artifact.name)}`;

/** What one artifact needs; its total is checked. */
async function entriesOf(content: Content, artifact: WantedArtifact): Promise<Result<readonly ClosureEntry[]>> {
  const { digest, size, total, mediaType } = artifact;
  let closure: Pick<Closure, 'entries' | 'total'>;
  if (mediaType === undefined) {
    closure = { entries: [{ digest, size, mediaType: 'application/octet-stream', kind: 'blob' }], total: size };
  } else {
    const read = await closureOf({ digest, size, mediaType }, (child, bytes) =>
      content.readVerified(child, Math.min(bytes, OCI_MANIFEST_BYTES), named(artifact)),
    );
    if (!read.ok) return refuse(read.error.code, `${named(artifact)}: ${read.error.detail}`);
    closure = read.value;
  }
  if (closure.total === total) return ok(closure.entries);
  return refuse(
    'total-mismatch',
    `${named(artifact)} needs ${closure.total} bytes where the release says ${total}; make the release again.`,
  );
}

async function takeIn(root: Root, locations: ReadonlyMap<Digest, Location>, store: BlobStore): Promise<Result<void>> {
  let batch: { digest: Digest; bytes: Uint8Array }[] = [];
  let batched = 0;
  for (const [digest, location] of locations) {
    if ((await store.stat(digest)) === location.size) continue;
    if (location.size >= PACK_MEMBER_LIMIT) {
      const put = await putLarge(root, digest, location, store);
      if (!put.ok) return put;
      continue;
    }
    const bytes = checkDigest(await readAll(root.read(location), location.size), digest, location);
    if (!bytes.ok) return bytes;
    batch.push({ digest, bytes: bytes.value });
    batched += bytes.value.length;
    if (batched < BATCH_BYTES) continue;
    await store.putMany(batch);
    batch = [];
    batched = 0;
  }
  if (batch.length > 0) await store.putMany(batch);
  return ok(undefined);
}

async function putLarge(root: Root, digest: Digest, location: Location, store: BlobStore): Promise<Result<void>> {
  try {
    await store.put(digest, location.size, root.read(location));
    return ok(undefined);
  } catch (error) {
    if (!(error instanceof OperationalError) || error.code !== 'store-digest-mismatch') throw error;
    return refuse(
      'digest-mismatch',
      `The bytes of ${shown(location.path)} do not hash to ${digest}; make the bundle again.`,
    );
  }
}
