import { createHash } from 'node:crypto';
import { closureOf, cosignTag, parseManifest, type Closure, type ClosureEntry } from '@sluice/bundle';
import { OperationalError, ok, refuse, type BlobStore, type Digest, type Result } from '@sluice/ports';
import { printable, RegistryError } from './errors.ts';
import type { Harbor } from './harbor.ts';
import { MANIFEST_LIMIT } from './http.ts';
import type { Registry } from './registry.ts';

/** Where an artifact goes. */
export interface PushTarget {
  readonly registry: Registry;
  readonly harbor: Harbor;
  /** `project/path` */
  readonly repository: string;
  /** A repository of the same registry that is known to hold the blob, to mount it from. */
  readonly mountFrom?: (digest: Digest) => string | undefined;
  readonly onBlob?: (digest: Digest, size: number, how: 'present' | 'mounted' | 'uploaded') => void;
}

export interface PushSubject {
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
}

/** Only these two of the store: what is read is hashed here or by `readVerified`; the store itself is not trusted. */
export type PushSource = Pick<BlobStore, 'read' | 'readVerified'>;

/** Bytes from the store that are not what their digest says, found while they were on their way out. */
class WrongBytes extends Error {
  readonly digest: Digest;
  constructor(digest: Digest) {
    super(`the store holds other bytes under ${digest}`);
    this.digest = digest;
  }
}

/**
 * The bytes, hashed as they pass. The last piece is held back until digest and size are known to be right, so an upload of wrong
 * bytes is never completed.
 */
export async function* hashed(
  bytes: AsyncIterable<Uint8Array>,
  digest: Digest,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  let seen = 0;
  let held: Uint8Array | undefined;
  for await (const piece of bytes) {
    if (piece.length === 0) continue;
    seen += piece.length;
    if (seen > size) throw new WrongBytes(digest);
    if (held !== undefined) yield held;
    hash.update(piece);
    held = piece;
  }
  if (seen !== size || `sha256:${hash.digest('hex')}` !== digest) throw new WrongBytes(digest);
  if (held !== undefined) yield held;
}

/** Reads a manifest of at most 4 MiB out of the store; other bytes than the digest says are a refusal. */
export async function readStored(source: PushSource, digest: Digest): Promise<Result<Buffer>> {
  try {
    return ok(Buffer.from(await source.readVerified(digest, MANIFEST_LIMIT)));
  } catch (error) {
    if (!(error instanceof OperationalError)) throw error;
    if (error.code === 'store-digest-mismatch') return wrongBytes(digest);
    if (error.code === 'store-too-large')
      return refuse('manifest-too-large', `${digest} is larger than ${MANIFEST_LIMIT} bytes.`);
    throw error;
  }
}

const wrongBytes = (digest: Digest): ReturnType<typeof refuse> =>
  refuse(
    'digest-mismatch',
    `The store holds other bytes under ${digest}; someone exchanged them or the disk is failing.`,
  );

/**
 * Pushes an artifact by digest: blobs, then the manifests that name them, the root last; no tag is touched. Each blob is looked for
 * before it is sent and looked for again right before its manifest goes out, so a garbage collection in between is made good.
 * Refuses what `closureOf` refuses and `digest-mismatch`; throws RegistryError, and OperationalError of the store.
 */
export async function pushArtifact(
  target: PushTarget,
  source: PushSource,
  subject: PushSubject,
): Promise<Result<Closure>> {
  const closure = await closureOf(subject, (digest) => readStored(source, digest));
  if (!closure.ok) return closure;
  const refers = closure.value.root.subject;
  if (refers !== undefined && (await target.harbor.artifact(target.repository, refers.digest)) === undefined) {
    const text = `${subject.digest} refers to ${refers.digest}, which ${target.repository} does not have; release its subject first`;
    throw new RegistryError('subject-missing', text);
  }
  try {
    for (const entry of closure.value.entries) {
      if (entry.kind === 'blob') await ensureBlob(target, source, entry);
      else {
        const pushed = await pushManifest(target, source, entry);
        if (!pushed.ok) return pushed;
      }
    }
  } catch (error) {
    if (error instanceof WrongBytes) return wrongBytes(error.digest);
    throw error;
  }
  return closure;
}

type Blob = Pick<ClosureEntry, 'digest' | 'size'>;

async function ensureBlob(target: PushTarget, source: PushSource, { digest, size }: Blob): Promise<void> {
  const { registry, repository } = target;
  const present = await registry.blobSize(repository, digest);
  if (present === size) return target.onBlob?.(digest, size, 'present');
  if (present !== undefined) {
    const text = `${registry.origin} has ${present} bytes under ${digest} where ${size} are right; its storage is damaged`;
    throw new RegistryError('registry-digest-mismatch', text);
  }
  const read = async (): Promise<AsyncIterable<Uint8Array>> => hashed(await source.read(digest), digest, size);
  const how = await registry.pushBlob(repository, { digest, size, read }, target.mountFrom?.(digest));
  target.onBlob?.(digest, size, how);
}

async function pushManifest(target: PushTarget, source: PushSource, entry: ClosureEntry): Promise<Result<void>> {
  const { digest, mediaType } = entry;
  const bytes = await readStored(source, digest);
  if (!bytes.ok) return bytes;
  const document = parseManifest(bytes.value, mediaType);
  if (!document.ok) return document;
  if (document.value.kind === 'manifest') {
    for (const blob of [document.value.config, ...document.value.layers]) await ensureBlob(target, source, blob);
  }
  await target.registry.pushManifest(target.repository, { digest, mediaType, bytes: bytes.value });
  return ok(undefined);
}

const TAG_ATTEMPTS = 3;

/**
 * Puts a tag on an artifact that is there already. Absent: created through Harbor's tag API (cosign's tags by a push instead: only
 * then does Harbor take them for signatures). Same digest: nothing is done, so an immutable tag can be imported again. Other digest:
 * moved by a push of the manifest. Throws RegistryError `harbor-immutable-tag` when it may not move.
 */
export async function publishTag(
  target: PushTarget,
  manifest: { readonly digest: Digest; readonly mediaType: string; readonly bytes: Uint8Array },
  tag: string,
): Promise<'created' | 'unchanged' | 'moved'> {
  const { harbor, registry, repository } = target;
  for (let attempt = 0; attempt < TAG_ATTEMPTS; attempt++) {
    const holder = await harbor.artifact(repository, tag);
    if (holder?.digest === manifest.digest) return 'unchanged';
    if (holder !== undefined || cosignTag(tag) !== undefined) {
      await registry.pushManifest(repository, manifest, tag);
      return holder === undefined ? 'created' : 'moved';
    }
    if ((await harbor.createTag(repository, manifest.digest, tag)) === 'created') return 'created';
  }
  const text = `tag ${printable(tag)} of ${repository} keeps changing while it is published; stop whoever else pushes it`;
  throw new RegistryError('registry-conflict', text);
}

/**
 * Proof at a destination: reads every manifest of the closure there and hashes it, looks for every blob by digest and size, and
 * compares each tag. Resolves to the digest computed from the destination's own bytes.
 * Throws RegistryError `replication-digest-missing` for what is absent, `replication-digest-other` for a tag that means another digest.
 */
export async function proveArtifact(
  registry: Registry,
  repository: string,
  subject: PushSubject,
  tags: readonly string[],
): Promise<Digest> {
  const where = `${repository} at ${registry.origin}`;
  const missing = (what: string): RegistryError =>
    new RegistryError('replication-digest-missing', `${what} is not in ${where}; look at the replication's task log`);
  const closure = await closureOf(subject, async (digest) => {
    const found = await registry.manifest(repository, digest);
    if (found === undefined) throw missing(`manifest ${digest}`);
    return ok(found.bytes);
  });
  if (!closure.ok) {
    const text = `${subject.digest} in ${where} is damaged (${closure.error.code}); look at the registry's storage`;
    throw new RegistryError('registry-digest-mismatch', text);
  }
  for (const { digest, size, kind } of closure.value.entries) {
    if (kind === 'blob' && (await registry.blobSize(repository, digest)) !== size) throw missing(`blob ${digest}`);
  }
  for (const tag of tags) {
    const found = await registry.manifestDigest(repository, tag);
    if (found === undefined) throw missing(`tag ${printable(tag)}`);
    if (found === subject.digest) continue;
    const text = `tag ${printable(tag)} in ${where} means ${found}, not ${subject.digest}; let the replication policy override`;
    throw new RegistryError('replication-digest-other', text);
  }
  return subject.digest;
}
