import { type Closure, closureOf, OCI_MANIFEST_BYTES, type VerifiedTransport } from '@sluice/bundle';
import { type BlobStore, type Digest, ok, refuse, type Result } from '@sluice/ports';
import type { Contents } from './contents.ts';
import type { Gate, GateVerdict } from './gates.ts';
import { runGates } from './gates.ts';
import type { JudgedRelease, OciArtifact } from './judge/messages.ts';
import { plainArtifacts } from './judge/plain.ts';

/** Artifacts looked at before others get their turn. */
const TURN = 2000;

type StoredBlobs = Pick<BlobStore, 'stat' | 'readVerified'>;

declare const verified: unique symbol;

/** A bundle all of which holds: statements, policy, every digest, every closure, every gate. Only `verifyBundle` makes one. */
export interface VerifiedBundle {
  readonly [verified]: true;
  readonly transport: VerifiedTransport;
  readonly release: JudgedRelease;
  readonly contents: Contents;
  /** Content blobs, each counted once. */
  readonly blobs: number;
  readonly gates: readonly GateVerdict[];
}

export interface VerifyBundleParts {
  /** Blobs of earlier bundles need not come again. */
  readonly store: StoredBlobs;
  readonly gates: readonly Gate[];
}

/** Stop 13, last part (B-7): closures complete and as large as the release says, nothing unlisted, then the gates in their order. */
export async function verifyBundle(
  transport: VerifiedTransport,
  release: JudgedRelease,
  contents: Contents,
  { store, gates }: VerifyBundleParts,
): Promise<Result<VerifiedBundle>> {
  const blobs = new Set<Digest>();
  for (const artifact of release.oci) {
    const closed = await closure(artifact, contents, store);
    if (!closed.ok) return closed;
    for (const { digest } of closed.value) blobs.add(digest);
  }
  let looked = 0;
  for (const { name, digest, size } of plainArtifacts(release.plain)) {
    const there = await present(digest, size, name, contents, store);
    if (!there.ok) return there;
    blobs.add(digest);
    looked += 1;
    // The main thread is everybody's.
    if (looked % TURN === 0) await new Promise(setImmediate);
  }
  const unlisted = [...contents.places.keys()].find((digest) => !blobs.has(digest));
  if (unlisted !== undefined)
    return refuse('blob-unlisted', `the bundle brings blob ${unlisted}, which no artifact of the release needs`);
  const { id, statement } = transport;
  const verdicts = await runGates(gates, { bundle: id, channel: statement.channel, release: release.envelope });
  const refused = verdicts.find((verdict) => !verdict.passed);
  if (refused !== undefined) return refuse('gate-refused', `gate ${refused.gate} refused the bundle: ${refused.said}`);
  return ok({ transport, release, contents, blobs: blobs.size, gates: verdicts } as unknown as VerifiedBundle);
}

type Sized = readonly { readonly digest: Digest; readonly size: number }[];

/** Whether the bundle or the store has a blob, and in its size. */
async function present(
  digest: Digest,
  size: number,
  name: string,
  contents: Contents,
  store: StoredBlobs,
): Promise<Result<undefined>> {
  const there = contents.places.get(digest)?.size ?? (await store.stat(digest));
  if (there === size) return ok(undefined);
  const blob = `artifact ${name} needs blob ${digest}`;
  return there === undefined
    ? refuse('blob-missing', `${blob}, which neither the bundle nor the store has`)
    : refuse('size-mismatch', `${blob} of ${String(size)} bytes, and it has ${String(there)}`);
}

const CREATED = 'org.opencontainers.image.created';

/** When a manifest says that it was built, Unix seconds: what "release create" takes for the version of a CVE database (B-18). */
function builtAt(root: Closure['root']): number | undefined {
  const created = root.kind === 'manifest' ? root.annotations[CREATED] : undefined;
  const seconds = Math.floor(Date.parse(created ?? '') / 1000);
  return Number.isSafeInteger(seconds) ? seconds : undefined;
}

/** The artifact's blobs, all of them there with their sizes. */
async function closure(artifact: OciArtifact, contents: Contents, store: StoredBlobs): Promise<Result<Sized>> {
  const { digest, size, total, mediaType, name } = artifact;
  const read = async (wanted: Digest, wantedSize: number): Promise<Result<Uint8Array>> => {
    const there = await present(wanted, wantedSize, name, contents, store);
    if (!there.ok) return there;
    const bytes = await contents.read(wanted, OCI_MANIFEST_BYTES);
    return ok(bytes ?? (await store.readVerified(wanted, OCI_MANIFEST_BYTES)));
  };
  const walked = await closureOf({ digest, size, mediaType }, read);
  if (!walked.ok) return walked;
  if (walked.value.total !== total) {
    return refuse(
      'total-mismatch',
      `artifact ${name} has ${String(walked.value.total)} bytes, the release says ${String(total)}`,
    );
  }
  const built = builtAt(walked.value.root);
  if (artifact.type === 'cve-db' && built !== undefined && built !== artifact.version) {
    return refuse(
      'version-mismatch',
      `artifact ${name} has version ${String(artifact.version)} in the release, and was built at ${String(built)} by its own word`,
    );
  }
  for (const entry of walked.value.entries) {
    const there = await present(entry.digest, entry.size, name, contents, store);
    if (!there.ok) return there;
  }
  return ok(walked.value.entries);
}
