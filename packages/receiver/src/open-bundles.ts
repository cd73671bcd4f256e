import type { VerifiedTransport } from '@sluice/bundle';
import { type BlobStore, type Digest, hostile, type HostileText } from '@sluice/ports';
import type { CheckedStore } from './checked-store.ts';
import { PACK_TYPE } from './contents.ts';
import type { JudgedRelease } from './judge/messages.ts';

/** A bundle whose transport statement holds, while it is not published or refused. */
export interface OpenBundle {
  readonly transport: VerifiedTransport;
  /** What it brings besides its statements, and is neither in the spool nor in the store. */
  readonly missing: Set<Digest>;
  /** What the store has of it. A pack is there when all of its blobs are, which is known of a bundle that was published before. */
  readonly stored: Set<Digest>;
  /** The store, for a bundle that was published before: it has lost some of it. */
  checked: CheckedStore | undefined;
  /** True once the store was asked; from then on it is told what comes into it. */
  looked: boolean;
  release: JudgedRelease | undefined;
  verifying: boolean;
  /** There is room for all of it, and link has leave to take it in. */
  admitted: boolean;
  /** It gave its room to another, and comes after all that wait. */
  gaveWay: boolean;
  /** Milliseconds of uptime when something of it came last. */
  movedAt: number;
}

/** How far a bundle is. */
export interface UnderWay {
  readonly transport: VerifiedTransport;
  /** Its release statement holds. */
  readonly released: boolean;
  /** Objects that have not come, and how many have. */
  readonly missing: ReadonlySet<Digest>;
  readonly whole: number;
  /** Name of its release. */
  readonly name: HostileText | undefined;
  readonly verifying: boolean;
  /** Its statements hold, and there is no room for it. */
  readonly waits: boolean;
  /** Milliseconds since something of it came. */
  readonly stillMs: number;
}

export const underWay = ({ transport, missing, release, verifying, admitted, movedAt }: OpenBundle): UnderWay => ({
  transport,
  missing,
  released: release !== undefined,
  whole: transport.statement.objects.length - missing.size,
  name: release === undefined ? undefined : hostile(release.name),
  verifying,
  waits: release !== undefined && !admitted,
  stillMs: performance.now() - movedAt,
});

/** Blobs asked of the store at once. */
const LOOKS = 16;
/** Objects of bundles that are over and that have not come, most of them never will: the oldest are forgotten. */
const OVER_MAX = 1_000_000;

/**
 * Objects that bundles of a channel may list together while no release vouches for them; a single one may list as many as a statement can. Each takes about a
 * kilobyte of memory, a bundle as much as a few objects.
 */
const UNVOUCHED_OBJECTS = 1_000_000;
const BUNDLE_OBJECTS = 4;

/** The bundles under way, and what still comes of those that are over. No call looks at more than it is about. */
export class OpenBundles {
  readonly #open = new Map<Digest, OpenBundle>();
  /** By digest: who lists the object, whose release it is. */
  readonly #listing = new Map<Digest, Set<OpenBundle>>();
  readonly #releasedBy = new Map<Digest, Set<OpenBundle>>();
  readonly #over = new Set<string>();

  [Symbol.iterator](): Iterator<OpenBundle> {
    return this.#open.values();
  }

  has(id: Digest): boolean {
    return this.#open.has(id);
  }

  /** True when so much of a channel waits for its release that a bundle without one is not taken in as well. */
  crowded({ statement: { channel, objects } }: VerifiedTransport, most = UNVOUCHED_OBJECTS): boolean {
    let listed = 0;
    for (const { transport, release } of this) {
      const { statement } = transport;
      if (release === undefined && statement.channel === channel) listed += statement.objects.length + BUNDLE_OBJECTS;
    }
    return listed > 0 && listed + objects.length > most;
  }

  /** The bundle of a statement, opened when it is not yet. `there` says what lies in the spool. */
  take(transport: VerifiedTransport, there: (digest: Digest) => boolean): OpenBundle {
    const known = this.#open.get(transport.id);
    if (known !== undefined) return known;
    const { objects, release } = transport.statement;
    const digests = objects.map(({ digest }) => digest);
    const missing = new Set(digests.filter((digest) => !there(digest)));
    const stored = new Set<Digest>();
    const bundle: OpenBundle = {
      ...{ transport, missing, stored, checked: undefined, looked: false, release: undefined, verifying: false },
      ...{ admitted: false, gaveWay: false, movedAt: performance.now() },
    };
    this.#open.set(transport.id, bundle);
    for (const digest of digests) add(this.#listing, digest, bundle);
    add(this.#releasedBy, release.digest, bundle);
    return bundle;
  }

  /** Bundles of the channel whose release this is. */
  releasedBy(channel: string, digest: Digest): readonly OpenBundle[] {
    return ofChannel(this.#releasedBy.get(digest), channel);
  }

  /** Bundles of the channel that list this object. */
  wanting(channel: string, digest: Digest): readonly OpenBundle[] {
    return ofChannel(this.#listing.get(digest), channel);
  }

  /** An object lies in the spool: the bundles that list it. */
  came(channel: string, digest: Digest): readonly OpenBundle[] {
    const bundles = this.wanting(channel, digest);
    for (const bundle of bundles) {
      bundle.missing.delete(digest);
      bundle.movedAt = performance.now();
    }
    return bundles;
  }

  /** Some of an object has come. */
  moved(channel: string, digest: Digest): void {
    for (const bundle of this.wanting(channel, digest)) bundle.movedAt = performance.now();
  }

  /** An object lies in the spool no longer. */
  went(channel: string, digest: Digest): void {
    for (const { missing, stored } of this.wanting(channel, digest)) if (!stored.has(digest)) missing.add(digest);
  }

  /** Nothing is known of the spool any more. */
  allWent(): void {
    for (const { transport, missing, stored } of this) {
      for (const { digest } of transport.statement.objects) if (!stored.has(digest)) missing.add(digest);
    }
  }

  /** Of this bundle the store has all but what is gone. */
  mending(bundle: OpenBundle, gone: ReadonlySet<Digest>, there: (digest: Digest) => boolean): void {
    for (const { digest } of bundle.transport.statement.objects) {
      if (!gone.has(digest)) haveStored(bundle, digest);
      else {
        bundle.stored.delete(digest);
        if (!there(digest)) bundle.missing.add(digest);
      }
    }
    bundle.looked = true;
  }

  /** The store has this no longer: the bundles, of any channel, that list it and have it from nowhere else now. */
  lost(digest: Digest, there: (channel: string, digest: Digest) => boolean): readonly OpenBundle[] {
    const bundles = [...(this.#listing.get(digest) ?? [])];
    for (const { stored } of bundles) stored.delete(digest);
    const lacking = bundles.filter(({ transport }) => !there(transport.statement.channel, digest));
    for (const { missing } of lacking) missing.add(digest);
    return lacking;
  }

  /** The store has these now: the bundles, of any channel, that list one of them. */
  nowStored(digests: Iterable<Digest>): ReadonlySet<OpenBundle> {
    const nearer = new Set<OpenBundle>();
    for (const digest of digests) {
      for (const bundle of this.#listing.get(digest) ?? []) {
        haveStored(bundle, digest);
        nearer.add(bundle);
      }
    }
    return nearer;
  }

  /**
   * Ends a bundle: the objects of it that no other wants, its own statement last. If only some of them are settled before a crash, the
   * statement is there still and ends the bundle once more. Those that have not come yet are remembered as over, as far as
   * `there` says.
   */
  close({ id, statement }: VerifiedTransport, there: (digest: Digest) => boolean): readonly Digest[] {
    const { channel, release, objects } = statement;
    const all = [...objects.map(({ digest }) => digest), release.digest, id];
    const bundle = this.#open.get(id);
    if (bundle !== undefined) {
      this.#open.delete(id);
      for (const { digest } of objects) remove(this.#listing, digest, bundle);
      remove(this.#releasedBy, release.digest, bundle);
    }
    const free = all.filter(
      (digest) => this.wanting(channel, digest).length + this.releasedBy(channel, digest).length === 0,
    );
    for (const digest of free) if (!there(digest)) this.#over.add(`${channel}/${digest}`);
    for (const oldest of this.#over) {
      if (this.#over.size <= OVER_MAX) break;
      this.#over.delete(oldest);
    }
    return free;
  }

  /** These are wanted once more, though their bundle was over. */
  again(channel: string, digests: readonly Digest[]): void {
    for (const digest of digests) this.#over.delete(`${channel}/${digest}`);
  }

  /** True, once, for an object that came after the end of its bundle and that no other wants. */
  late(channel: string, digest: Digest): boolean {
    return this.#over.delete(`${channel}/${digest}`);
  }
}

/** Blobs of earlier bundles need not come again; packs are not kept as such. Throws what the store throws, and may be called again. */
export async function lookInStore(bundle: OpenBundle, store: Pick<BlobStore, 'stat'>): Promise<void> {
  const blobs = bundle.transport.statement.objects.filter(({ contentType }) => contentType !== PACK_TYPE);
  const waiting = blobs.values();
  const look = async (): Promise<void> => {
    for (const { digest } of waiting) if ((await store.stat(digest)) !== undefined) haveStored(bundle, digest);
  };
  await Promise.all(Array.from({ length: LOOKS }, look));
  bundle.looked = true;
}

function haveStored({ missing, stored }: OpenBundle, digest: Digest): void {
  missing.delete(digest);
  stored.add(digest);
}

const ofChannel = (bundles: ReadonlySet<OpenBundle> | undefined, channel: string): readonly OpenBundle[] =>
  [...(bundles ?? [])].filter(({ transport }) => transport.statement.channel === channel);

function add(index: Map<Digest, Set<OpenBundle>>, digest: Digest, bundle: OpenBundle): void {
  const bundles = index.get(digest);
  if (bundles === undefined) index.set(digest, new Set([bundle]));
  else bundles.add(bundle);
}

function remove(index: Map<Digest, Set<OpenBundle>>, digest: Digest, bundle: OpenBundle): void {
  const bundles = index.get(digest);
  bundles?.delete(bundle);
  if (bundles?.size === 0) index.delete(digest);
}
