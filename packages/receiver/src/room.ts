import type { Logger } from '@sluice/base';
import { GIVEN_UP, type ReceiverLedger, WAITING_FOR_ROOM } from '@sluice/ledger';
import { ALLOW_DIGESTS, type Digest, type ReceiverToLink, type Refusal } from '@sluice/ports';
import type { OpenBundle, OpenBundles } from './open-bundles.ts';

/** How large a place is, and how much of it is free: bytes. */
export interface Space {
  readonly limit: number;
  readonly free: number;
}

/** What is known of the places that a bundle takes room in. */
export interface Places {
  /** Link's spool; undefined until link has told of it. */
  readonly spool: () => Space | undefined;
  /** The disk of the store; undefined where nobody can say. */
  readonly store: () => Space | undefined;
  /** How much of an object that is not whole has come, from 0 to 1. */
  readonly came: (digest: Digest) => number;
  /** Asks for so many bytes more on the disk of the store. */
  readonly onShort: (bytes: number) => void;
  /** A bundle of which nothing came for so long gives way to one that waits, milliseconds of uptime. */
  readonly stalledMs: number;
}

/** Nothing is known of them: every bundle fits. */
export const BOUNDLESS: Places = {
  spool: () => undefined,
  store: () => undefined,
  came: () => 0,
  onShort: () => undefined,
  stalledMs: Infinity,
};

export interface RoomParts {
  readonly places: Places;
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  readonly open: OpenBundles;
  readonly toLink: (message: ReceiverToLink) => void;
  /** An object lies in the spool no longer. */
  readonly forget: (channel: string, digest: Digest) => void;
}

const inMiB = (bytes: number): string => `${String(Math.ceil(bytes / 2 ** 20))} MiB`;

/** Whether a bundle fits, by what its statements say and before its first block is taken in. */
export class Room {
  readonly #parts: RoomParts;

  constructor(parts: RoomParts) {
    this.#parts = parts;
  }

  /** True when the bundle may come in; false when it waits; a refusal when it can never fit. */
  admit(bundle: OpenBundle): boolean | Refusal {
    if (bundle.admitted) return true;
    const { ledger, logger } = this.#parts;
    const { id, statement } = bundle.transport;
    const never = this.#neverFits(bundle);
    if (never !== undefined) return never;
    const short = this.#shortOf(bundle);
    if (short === undefined) {
      const { code } = ledger.bundle(id) ?? {};
      // The ledger first: once admitted, nobody looks here any more.
      if (code === WAITING_FOR_ROOM || code === GIVEN_UP) {
        ledger.keeping.hold(id, '', '');
        logger.info(
          { bundle: id, channel: statement.channel, sequence: statement.sequence },
          'there is room for the bundle',
        );
      }
      bundle.admitted = true;
      bundle.gaveWay = false;
      bundle.movedAt = performance.now();
      return true;
    }
    if (short.place === 'store') this.#parts.places.onShort(short.bytes);
    if (ledger.bundle(id)?.code !== WAITING_FOR_ROOM)
      logger.warn(
        { bundle: id, channel: statement.channel, sequence: statement.sequence },
        `the bundle waits: ${short.words}`,
      );
    ledger.keeping.hold(id, WAITING_FOR_ROOM, short.words);
    return false;
  }

  /** True when `admit` would let the bundle in. */
  fits(bundle: OpenBundle): boolean {
    return this.#neverFits(bundle) === undefined && this.#shortOf(bundle) === undefined;
  }

  /** Bundles whose statements hold and that are not let in, in the order in which they may be. */
  get waiting(): readonly OpenBundle[] {
    const waiting = [...this.#parts.open].filter(({ release, admitted }) => release !== undefined && !admitted);
    return [...waiting.filter(({ gaveWay }) => !gaveWay), ...waiting.filter(({ gaveWay }) => gaveWay)];
  }

  /** While a bundle waits for room in the spool: one that stands still gives way, that which did for the longest. */
  giveWay(): void {
    if (this.waiting.every((bundle) => bundle.gaveWay || this.#shortOf(bundle)?.place !== 'spool')) return;
    const { stalledMs } = this.#parts.places;
    const now = performance.now();
    const [longest] = [...this.#parts.open]
      .filter(({ admitted, missing, movedAt }) => admitted && missing.size > 0 && now - movedAt >= stalledMs)
      .toSorted((a, b) => a.movedAt - b.movedAt);
    if (longest !== undefined) this.#giveUp(longest);
  }

  #giveUp(bundle: OpenBundle): void {
    const { ledger, logger, toLink, forget, open } = this.#parts;
    const { id, statement } = bundle.transport;
    const { channel, sequence } = statement;
    const unshared = statement.objects.flatMap(({ digest }) =>
      open.wanting(channel, digest).some((other) => other !== bundle && other.admitted) ? [] : [digest],
    );
    const detail =
      'nothing of it came for long, and another bundle needs the room: what it had is given up; a later pass or a ticket brings all of it';
    ledger.keeping.hold(id, GIVEN_UP, detail);
    bundle.admitted = false;
    bundle.gaveWay = true;
    for (let at = 0; at < unshared.length; at += ALLOW_DIGESTS)
      toLink({ type: 'withdraw', channel, digests: unshared.slice(at, at + ALLOW_DIGESTS) });
    for (const digest of unshared) forget(channel, digest);
    logger.warn({ bundle: id, channel, sequence }, detail);
  }

  #neverFits(bundle: OpenBundle): Refusal | undefined {
    const needed = bytesOf(bundle, () => 1);
    const spool = this.#parts.places.spool();
    if (spool !== undefined && needed > spool.limit) {
      const detail = `the bundle has ${inMiB(needed)}, and the spool of link takes ${inMiB(spool.limit)} (spoolBytes)`;
      return { code: 'no-room-ever', detail };
    }
    const store = this.#parts.places.store();
    if (store === undefined || needed <= store.limit) return undefined;
    const detail = `the bundle has ${inMiB(needed)}, and the disk of the store ${inMiB(store.limit)}`;
    return { code: 'no-room-ever', detail };
  }

  /** What there is too little of; undefined when the bundle fits beside those that were let in before. */
  #shortOf(bundle: OpenBundle): Shortage | undefined {
    const { places } = this.#parts;
    const lacking = (each: OpenBundle): number =>
      bytesOf(each, (digest) => (each.missing.has(digest) ? 1 - places.came(digest) : 0));
    const needed = lacking(bundle);
    const others = [...this.#parts.open].filter((other) => other !== bundle && other.admitted);
    const promised = others.reduce((sum, other) => sum + lacking(other), 0);
    for (const [place, space] of [
      ['spool', places.spool()],
      ['store', places.store()],
    ] as const) {
      if (space === undefined || needed <= space.free - promised) continue;
      const free = inMiB(Math.max(0, space.free - promised));
      const words = `it needs ${inMiB(needed)}, and the ${place} has ${free} that nothing else was promised`;
      return { place, bytes: needed + promised - space.free, words };
    }
    return undefined;
  }
}

interface Shortage {
  readonly place: 'spool' | 'store';
  readonly bytes: number;
  readonly words: string;
}

/** Bytes of the objects of a bundle that are not in the store, each as far as it counts. */
const bytesOf = ({ transport, stored }: OpenBundle, share: (digest: Digest) => number): number =>
  transport.statement.objects.reduce(
    (sum, { digest, size }) => (stored.has(digest) ? sum : sum + Math.ceil(size * share(digest))),
    0,
  );
