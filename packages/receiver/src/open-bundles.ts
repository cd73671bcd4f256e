import type { VerifiedRelease, VerifiedTransport } from '@sluice/bundle';
import type { Digest } from '@sluice/ports';

/** A bundle whose transport statement holds, while it is not published or refused. */
export interface OpenBundle {
  readonly transport: VerifiedTransport;
  /** What it brings besides its statements. */
  readonly objects: ReadonlySet<Digest>;
  release: VerifiedRelease | undefined;
  verifying: boolean;
}

/** Objects of bundles that are over and that have not come, most of them never will: the oldest are forgotten. */
const OVER_MAX = 1_000_000;

/** The bundles under way, and what still comes of those that are over. */
export class OpenBundles {
  readonly #open = new Map<Digest, OpenBundle>();
  readonly #over = new Set<string>();

  [Symbol.iterator](): Iterator<OpenBundle> {
    return this.#open.values();
  }

  has(id: Digest): boolean {
    return this.#open.has(id);
  }

  /** The bundle of a statement, opened when it is not yet. */
  take(transport: VerifiedTransport): OpenBundle {
    const known = this.#open.get(transport.id);
    if (known !== undefined) return known;
    const objects = new Set(transport.statement.objects.map(({ digest }) => digest));
    const bundle = { transport, objects, release: undefined, verifying: false };
    this.#open.set(transport.id, bundle);
    return bundle;
  }

  /** Bundles of the channel whose release this is. */
  releasedBy(channel: string, digest: Digest): readonly OpenBundle[] {
    return this.#of(channel).filter(({ transport }) => transport.statement.release.digest === digest);
  }

  /** Bundles of the channel that list this object. */
  wanting(channel: string, digest: Digest): readonly OpenBundle[] {
    return this.#of(channel).filter(({ objects }) => objects.has(digest));
  }

  /**
   * Ends a bundle: the objects of it that no other wants. Those that have not come yet are remembered as over, as far as
   * `there` says.
   */
  close({ id, statement }: VerifiedTransport, there: (digest: Digest) => boolean): readonly Digest[] {
    this.#open.delete(id);
    const { channel, release, objects } = statement;
    const all = [id, release.digest, ...objects.map(({ digest }) => digest)];
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

  /** True, once, for an object that came after the end of its bundle and that no other wants. */
  late(channel: string, digest: Digest): boolean {
    return this.#over.delete(`${channel}/${digest}`);
  }

  #of(channel: string): readonly OpenBundle[] {
    return [...this.#open.values()].filter(({ transport }) => transport.statement.channel === channel);
  }
}
