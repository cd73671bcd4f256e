import type { Gap, ObjectGap } from '@sluice/bundle';
import type { ReceiverLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import type { MissingBundles } from './missing.ts';
import type { UnderWay } from './open-bundles.ts';
import { type Holes, holesIn } from './spool/holes.ts';

export interface GapParts {
  readonly channels: readonly string[];
  readonly open: () => readonly UnderWay[];
  readonly missing: MissingBundles;
  readonly ledger: ReceiverLedger;
  readonly spoolDirectory: string;
}

/** A bundle that is not whole. */
export interface Incomplete {
  readonly channel: string;
  readonly sequence: number;
  /** Its id, where it is known. */
  readonly bundle: Digest | undefined;
  /** Undefined while nothing of it is there that says what it consists of. */
  readonly underWay: UnderWay | undefined;
}

/** Place of the release statement, and of the first object, in a gap. */
const RELEASE = 1;
const FIRST_OBJECT = 2;

/** What lacks of each bundle, in numbers that its sender gave. */
export class Gaps {
  readonly #parts: GapParts;

  constructor(parts: GapParts) {
    this.#parts = parts;
  }

  /** Bundles that are not whole, by channel and number. */
  list(): Incomplete[] {
    const { channels, open, missing, ledger } = this.#parts;
    const all = open();
    const begun = all
      .filter(({ missing: lacking, released }) => lacking.size > 0 || !released)
      .map((underWay): Incomplete => {
        const { id: bundle, statement } = underWay.transport;
        return { channel: statement.channel, sequence: statement.sequence, bundle, underWay };
      });
    const never = channels.flatMap((channel) =>
      missing
        .of(channel)
        .map(({ sequence, bundle }): Incomplete => ({ channel, sequence, bundle, underWay: undefined })),
    );
    // The statement held once, and the spool has lost it: the bundle is not missing by its number, and not under way.
    const opened = new Set(all.map(({ transport }) => transport.id));
    const forgotten = ledger
      .inState('receiving')
      .filter(({ id, channel }) => !opened.has(id) && channels.includes(channel))
      .map(({ id: bundle, channel, sequence }): Incomplete => ({ channel, sequence, bundle, underWay: undefined }));
    return [...begun, ...never, ...forgotten].sort(
      (a, b) => (a.channel < b.channel ? -1 : Number(a.channel > b.channel)) || a.sequence - b.sequence,
    );
  }

  async of({ channel, sequence, underWay }: Incomplete): Promise<Gap> {
    const all = { channel, sequence, symbolBytes: 0, maxBlock: 0, objects: 'all' } as const;
    if (underWay === undefined) return all;
    const { released, missing, transport } = underWay;
    const holes = await holesIn(this.#parts.spoolDirectory, channel, missing);
    // A ticket has one E and B: objects that were cut otherwise than the first are asked for whole.
    const listed = transport.statement.objects;
    const shape = listed.map(({ digest }) => holes.get(digest)).find((each) => each !== undefined);
    const objects = listed.flatMap(({ digest }, i): ObjectGap[] =>
      missing.has(digest) ? [{ object: FIRST_OBJECT + i, blocks: blocksOf(holes.get(digest), shape) }] : [],
    );
    const { symbolBytes = 0, maxBlock = 0 } = shape ?? {};
    const statements: ObjectGap[] = released ? [] : [{ object: RELEASE, blocks: 'all' }];
    return { ...all, symbolBytes, maxBlock, objects: [...statements, ...objects] };
  }
}

const blocksOf = (holes: Holes | undefined, shape: Holes | undefined): ObjectGap['blocks'] =>
  holes === undefined || holes.symbolBytes !== shape?.symbolBytes || holes.maxBlock !== shape.maxBlock
    ? 'all'
    : holes.blocks;
