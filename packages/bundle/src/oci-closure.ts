import { ok, refuse } from '@sluice/ports';
import type { Digest, Result } from '@sluice/ports';
import { kindOf, OCI_MANIFEST_BYTES, parseManifest, tooLarge } from './oci.ts';
import type { ContentKind, Descriptor, ImageIndex, ImageManifest } from './oci.ts';

/** Deepest nesting of indexes. */
export const CLOSURE_DEPTH = 8;
/** Most blobs, manifests and indexes in one closure. */
export const CLOSURE_ENTRIES = 65_536;

export interface ClosureEntry {
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
  readonly kind: ContentKind;
}

/** Everything an image needs (PROTOCOL.md B-4), each once: what a manifest names stands before it, the root is last. */
export interface Closure {
  readonly entries: readonly ClosureEntry[];
  /** Bytes of all entries (PROTOCOL.md B-3 `total`). */
  readonly total: number;
  /** The root document as read; `root.subject` says what it refers to (a referrer: signature, SBOM). */
  readonly root: ImageManifest | ImageIndex;
}

/** Gives the bytes of a manifest or index: at most `size` of them, and hashed: they are what `digest` names. */
export type ReadManifest = (digest: Digest, size: number) => Promise<Result<Uint8Array>>;

/**
 * The closure of a manifest or index. Refuses what `parseManifest` refuses, what `readManifest` refuses, `size-mismatch` where two descriptors of one
 * digest, or descriptor and bytes, disagree, and `manifest-malformed` where it is too deep, too large, or one digest is named as two kinds.
 * A `subject` is not part of the closure: it points the other way.
 */
export async function closureOf(
  root: Pick<Descriptor, 'digest' | 'size' | 'mediaType'>,
  readManifest: ReadManifest,
): Promise<Result<Closure>> {
  const walk: Walk = { entries: new Map(), open: new Map(), total: 0, readManifest };
  const document = await visitManifest(walk, root, 0);
  if (!document.ok) return document;
  return ok({ entries: [...walk.entries.values()], total: walk.total, root: document.value });
}

type Target = Pick<Descriptor, 'digest' | 'size' | 'mediaType'>;

interface Walk {
  /** In post-order: a Map keeps the order of insertion. */
  readonly entries: Map<Digest, ClosureEntry>;
  /** The manifests above the one being read. */
  readonly open: Map<Digest, Target>;
  total: number;
  readonly readManifest: ReadManifest;
}

async function visit(walk: Walk, target: Target, kind: ContentKind, depth: number): Promise<Result<void>> {
  const known = walk.entries.get(target.digest);
  if (known !== undefined) {
    if (known.size !== target.size)
      return refuse('size-mismatch', `Two descriptors give ${target.digest} different sizes.`);
    if (known.kind !== kind) return malformed(`${target.digest} is named as ${known.kind} and as ${kind}`);
    return ok(undefined);
  }
  if (walk.open.has(target.digest)) return malformed(`${target.digest} contains itself`);
  if (kind === 'blob') return add(walk, target, kind);
  const document = await visitManifest(walk, target, depth);
  return document.ok ? ok(undefined) : document;
}

async function visitManifest(walk: Walk, target: Target, depth: number): Promise<Result<ImageManifest | ImageIndex>> {
  if (depth > CLOSURE_DEPTH) return malformed(`indexes are nested more than ${CLOSURE_DEPTH} deep`);
  if (target.size > OCI_MANIFEST_BYTES) return tooLarge(target.size);
  const bytes = await walk.readManifest(target.digest, target.size);
  if (!bytes.ok) return bytes;
  if (bytes.value.length !== target.size) {
    return refuse('size-mismatch', `${target.digest} has ${bytes.value.length} bytes where ${target.size} are named.`);
  }
  const document = parseManifest(bytes.value, target.mediaType);
  if (!document.ok) return refuse(document.error.code, `In ${target.digest}: ${document.error.detail}`);
  walk.open.set(target.digest, target);
  for (const child of childrenOf(document.value)) {
    // What a manifest names is a blob to registries, whatever its media type says.
    const kind = document.value.kind === 'manifest' ? 'blob' : kindOf(child.mediaType);
    const visited = await visit(walk, child, kind, depth + 1);
    if (!visited.ok) return visited;
  }
  walk.open.delete(target.digest);
  const added = add(walk, target, document.value.kind);
  return added.ok ? document : added;
}

/** What a document names, blobs before manifests. */
function childrenOf(document: ImageManifest | ImageIndex): readonly Descriptor[] {
  if (document.kind === 'manifest') return [document.config, ...document.layers];
  const isBlob = (child: Descriptor): boolean => kindOf(child.mediaType) === 'blob';
  return [...document.manifests.filter(isBlob), ...document.manifests.filter((child) => !isBlob(child))];
}

function add(walk: Walk, { digest, size, mediaType }: Target, kind: ContentKind): Result<void> {
  if (walk.entries.size >= CLOSURE_ENTRIES) return malformed(`it names more than ${CLOSURE_ENTRIES} blobs`);
  walk.entries.set(digest, { digest, size, mediaType, kind });
  walk.total += size;
  if (!Number.isSafeInteger(walk.total)) return malformed('its blobs are larger together than can be counted');
  return ok(undefined);
}

const malformed = (why: string): ReturnType<typeof refuse> =>
  refuse('manifest-malformed', `An image cannot be taken: ${why}.`);
