import type { Logger } from '@sluice/base';
import { closureOf, OCI_MANIFEST_BYTES, type VerifiedTransport } from '@sluice/bundle';
import { type BundleRecord, type ReceiverLedger, STORE_DAMAGED } from '@sluice/ledger';
import { type BlobStore, type Digest, ok, type ReceiverToLink, refuse } from '@sluice/ports';
import { readOrUndefined } from './bundle-blobs.ts';
import { CheckedStore, isDamage } from './checked-store.ts';
import { type Contents, PACK_TYPE } from './contents.ts';
import type { Judge } from './judge/judge.ts';
import type { JudgedRelease } from './judge/messages.ts';
import { plainArtifacts } from './judge/plain.ts';
import type { OpenBundle, OpenBundles } from './open-bundles.ts';
import { isOtherBytes } from './publish.ts';
import { STATEMENT_TYPE } from './statements.ts';

/** What an importer says when the store does not give it what the statements name. */
export const DAMAGE_CODES: readonly string[] = ['digest-mismatch', 'blob-missing', 'release-missing'];
/** How often a bundle is imported anew of which all holds, though the importer said otherwise: it may have held only since. */
const HOLDING_TRIES = 3;
/** Damaged blobs named in the ledger. */
const NAMED = 100;

export interface MenderParts {
  readonly store: BlobStore;
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  readonly judge: Judge;
  readonly statementBytes: number;
  readonly open: OpenBundles;
  readonly spooled: (channel: string, digest: Digest) => boolean;
  /** What lies in the spool of an object, or lay there until the store took it, goes. */
  readonly again: (channel: string, digest: Digest) => void;
  readonly allow: (transport: VerifiedTransport) => void;
  readonly toLink: (message: ReceiverToLink) => void;
  readonly proceed: (bundle: OpenBundle) => void;
}

/** A bundle whose statements are lost: they come again with its next pass. */
export interface LostStatements {
  readonly channel: string;
  readonly sequence: number;
  readonly bundle: Digest;
  readonly digests: readonly Digest[];
}

/**
 * What a published bundle needs is in the store, until the disk or somebody says otherwise. What does not hash to its name is put aside, the bundle is
 * receiving again and lacks what brings it; a pass or a ticket brings that, and the import goes on.
 */
export class Mender {
  readonly #parts: MenderParts;
  readonly #lost = new Map<Digest, LostStatements>();

  constructor(parts: MenderParts) {
    this.#parts = parts;
  }

  /** Bundles that lacked something, or were said to, when an earlier run ended. */
  unsettled(): Digest[] {
    const { ledger } = this.#parts;
    const reopened = ledger.inState('receiving').filter(({ code }) => code === STORE_DAMAGED);
    const kept = new Set(ledger.keeping.inStore());
    const failed = ledger.inState('failed').filter(({ id, code }) => kept.has(id) && DAMAGE_CODES.includes(code));
    return [...reopened, ...failed].map(({ id }) => id);
  }

  /** Link knows of no leave that was given. */
  linkConnected(): void {
    for (const { channel, digests } of this.#lost.values()) this.#parts.toLink({ type: 'allow', channel, digests });
  }

  /** The store of a bundle whose statements came, when it was published before; undefined for any other. */
  came(id: Digest): CheckedStore | undefined {
    this.#lost.delete(id);
    return this.#parts.ledger.keeping.isDamaged(id) ? new CheckedStore(this.#parts.store) : undefined;
  }

  /** Hashes all that a bundle needs. When something is wrong with it, the bundle is open afterwards. */
  async examine(id: Digest): Promise<void> {
    const { ledger, logger, open } = this.#parts;
    const record = ledger.bundle(id);
    if (record === undefined || open.has(id) || record.state === 'imported' || record.state === 'quarantined') return;
    const checked = new CheckedStore(this.#parts.store);
    const stored = await this.#statements(record, checked);
    if (stored.type === 'lost') {
      this.#lose(record, stored.digests);
      return;
    }
    const { transport, release } = stored;
    const lacks = await whatLacks(transport, release, checked);
    if (lacks.lacking.length === 0 && record.state !== 'receiving') {
      logger.warn({ bundle: id, code: record.code }, 'the importer found the store wanting, and all of it holds');
      if (!this.#isTriedAnew(record, checked)) return;
      ledger.keeping.reopen(id, 'all of it holds by now, and it is imported anew', {
        blobs: [...checked.damaged.keys()],
      });
    }
    this.#reopen(transport, lacks);
    // Only now, when nothing can fail any more: once it is open it is examined no more.
    const bundle = open.take(transport, () => true);
    bundle.release = release;
    bundle.checked = checked;
    this.#await(bundle, lacks);
    this.#parts.proceed(bundle);
  }

  /** What was damaged may lie elsewhere as well, or have come with another bundle. Nobody else would try again what failed. */
  #isTriedAnew({ id, state }: BundleRecord, { damaged }: CheckedStore): boolean {
    if (state !== 'failed') return false;
    const failures = this.#parts.ledger.events.about(id).filter(({ kind }) => kind === 'failed').length;
    return damaged.size > 0 || failures < HOLDING_TRIES;
  }

  /** Finds what a bundle lacks in the store; `contents` has what came again of it. False when nothing that lacks can still come. */
  async mend(bundle: OpenBundle, contents?: Contents): Promise<boolean> {
    const { checked, release, transport } = bundle;
    if (checked === undefined || release === undefined) return false;
    const lacks = await whatLacks(transport, release, checked, contents);
    this.#reopen(transport, lacks);
    this.#await(bundle, lacks);
    return bundle.missing.size > 0;
  }

  /** The store did not give a bundle what it had of it: what lacks is looked for, and comes again. */
  async wanting(bundle: OpenBundle, error: unknown): Promise<void> {
    if (bundle.checked !== undefined && isDamage(error)) await this.mend(bundle);
    else if (isOtherBytes(error)) await this.#sift(bundle);
  }

  /** The ledger says that a bundle is receiving again. */
  #reopen({ id, statement }: VerifiedTransport, { gone, lacking }: Lacks): void {
    if (lacking.length === 0) return;
    const { ledger, logger } = this.#parts;
    const { channel, sequence } = statement;
    const objects = `${String(gone.size)} of ${String(statement.objects.length)} objects`;
    const detail = `${String(lacking.length)} blobs are damaged or gone in the store; ${objects} must come again`;
    const blobs = lacking.slice(0, NAMED);
    if (ledger.keeping.reopen(id, detail, { blobs, count: lacking.length }))
      logger.error({ bundle: id, channel, sequence, blobs, lacking: gone.size }, detail);
  }

  /** The bundle waits for what brings what it lacks. */
  #await(bundle: OpenBundle, { gone }: Lacks): void {
    const { open, spooled, allow } = this.#parts;
    const { transport } = bundle;
    // What it lacks is little, and it was let in once.
    bundle.admitted = true;
    open.mending(bundle, gone, (digest) => spooled(transport.statement.channel, digest));
    allow(transport);
  }

  /**
   * A bundle that was never published finds other bytes in the store than it needs, of an earlier try to publish it or of other bundles: what it brings
   * of that itself is put aside, and comes again.
   */
  async #sift({ transport: { id, statement } }: OpenBundle): Promise<void> {
    const { store, open, spooled, again, logger, toLink } = this.#parts;
    const checked = new CheckedStore(store);
    for (const { digest, contentType } of statement.objects) if (contentType !== PACK_TYPE) await checked.stat(digest);
    for (const digest of checked.damaged.keys()) {
      again(statement.channel, digest);
      for (const { transport } of open.lost(digest, spooled))
        toLink({ type: 'allow', channel: transport.statement.channel, digests: [digest] });
    }
    const [channel, blobs] = [statement.channel, [...checked.damaged.keys()].slice(0, NAMED)];
    if (blobs.length > 0)
      logger.error(
        { bundle: id, channel, blobs },
        'blobs that the bundle found in the store are damaged, and must come again',
      );
  }

  /** Both statements, as the store has them, judged anew. */
  async #statements(
    { id, channel, release: releaseDigest }: BundleRecord,
    checked: CheckedStore,
  ): Promise<
    | { readonly type: 'lost'; readonly digests: readonly Digest[] }
    | { readonly type: 'stored'; readonly transport: VerifiedTransport; readonly release: JudgedRelease }
  > {
    const { judge, statementBytes } = this.#parts;
    const lost = { type: 'lost', digests: [id, releaseDigest] } as const;
    const read = async (digest: Digest) => {
      const bytes = await readOrUndefined(checked, digest, statementBytes);
      return bytes && { channel, key: '', digest, size: bytes.length, contentType: STATEMENT_TYPE, path: '', bytes };
    };
    const [first, second] = [await read(id), await read(releaseDigest)];
    if (first === undefined || second === undefined) return lost;
    const transport = await judge.any(first, statementBytes);
    // Signed by a key that counts no more, or of a channel that is gone: what comes again is judged as what is new.
    if (transport.type !== 'transport') return lost;
    const release = await judge.release(second, statementBytes, transport.transport);
    if (release.type !== 'release') return lost;
    return { type: 'stored', transport: transport.transport, release: release.release };
  }

  #lose({ id, channel, sequence }: BundleRecord, digests: readonly Digest[]): void {
    const { ledger, logger, toLink, open } = this.#parts;
    open.again(channel, digests);
    this.#lost.set(id, { channel, sequence, bundle: id, digests });
    const detail = 'its statements are damaged or gone in the store, and must come again';
    ledger.keeping.reopen(id, detail, { blobs: digests });
    logger.error({ bundle: id, channel, sequence }, detail);
    toLink({ type: 'allow', channel, digests });
  }
}

/** What a bundle lacks in the store: blobs that do not hold, and the objects of the bundle that bring them. */
interface Lacks {
  readonly lacking: readonly Digest[];
  readonly gone: ReadonlySet<Digest>;
}

/** Blobs of a release that do not hold, as far as its manifests can be read. */
async function whatLacks(
  { statement }: VerifiedTransport,
  release: JudgedRelease,
  checked: CheckedStore,
  contents?: Contents,
): Promise<Lacks> {
  const lacking = new Set<Digest>();
  const look = async (digest: Digest): Promise<void> => {
    if ((await checked.stat(digest)) === undefined) lacking.add(digest);
  };
  for (const { digest, size, mediaType } of release.oci) {
    const closed = await closureOf({ digest, size, mediaType }, async (manifest) => {
      const stored = await readOrUndefined(checked, manifest, OCI_MANIFEST_BYTES);
      if (stored === undefined) lacking.add(manifest);
      const isNew = contents !== undefined && contents.places.get(manifest)?.type !== 'stored';
      const bytes = stored ?? (isNew ? await contents.read(manifest, OCI_MANIFEST_BYTES) : undefined);
      return bytes === undefined ? refuse('blob-missing', manifest) : ok(bytes);
    });
    if (closed.ok) for (const entry of closed.value.entries) await look(entry.digest);
  }
  for (const { digest } of plainArtifacts(release.plain)) await look(digest);
  for (const { digest, contentType } of statement.objects) if (contentType !== PACK_TYPE) await look(digest);
  const objects = new Map(statement.objects.map(({ digest, contentType }) => [digest, contentType]));
  const packs = statement.objects.flatMap(({ digest, contentType }) => (contentType === PACK_TYPE ? [digest] : []));
  const bringing = (digest: Digest): readonly Digest[] => {
    if (objects.has(digest)) return [digest];
    const pack = checked.damaged.get(digest);
    return pack !== undefined && objects.has(pack) ? [pack] : packs;
  };
  return { lacking: [...lacking], gone: new Set([...lacking].flatMap(bringing)) };
}
