import { blockLength, type Partition, partition } from '@sluice/fec';
import type { ObjectInfo } from '@sluice/transfer';

export const HEAT_ROWS = 64;
export const HEAT_COLUMNS = 255;
/** Blocks whose symbols are remembered; the oldest objects are summed up when there are more. */
const BLOCKS_MAX = 100_000;

interface Block {
  /** Place among all blocks, by the first symbol that came. */
  readonly index: number;
  readonly came: Uint8Array;
}

interface Sending {
  /** Undefined while no FDT named it. */
  partition: Partition | undefined;
  readonly blocks: Map<number, Block>;
}

export interface BlockSums {
  /** Blocks of which something came, in each sending. */
  readonly blocks: number;
  /** Blocks by the number of symbols that they lost, and by those that came beyond need; negative: too few. */
  readonly byLost: ReadonlyMap<number, number>;
  readonly byMargin: ReadonlyMap<number, number>;
  readonly rowBlocks: number;
  /** Row by row: of how many symbols, how many were lost. */
  readonly heat: { readonly sent: Float64Array; readonly lost: Float64Array };
}

const bit = (bits: Uint8Array, esi: number): boolean => ((bits[esi >>> 3] ?? 0) & (1 << (esi & 7))) !== 0;
const setBit = (bits: Uint8Array, esi: number): void => {
  bits[esi >>> 3] = (bits[esi >>> 3] ?? 0) | (1 << (esi & 7));
};

/** Which symbols came of each block, sending by sending; in bounded memory. */
export class BlockWatch {
  readonly #sendings = new Map<string, Sending>();
  readonly #byLost = new Map<number, number>();
  readonly #byMargin = new Map<number, number>();
  readonly #heat = {
    sent: new Float64Array(HEAT_ROWS * HEAT_COLUMNS),
    lost: new Float64Array(HEAT_ROWS * HEAT_COLUMNS),
  };
  #rowBlocks = 1;
  #next = 0;
  #held = 0;
  #blocks = 0;

  named(tsi: number, toi: number, { size, symbolBytes, maxBlock }: ObjectInfo): void {
    this.#sending(tsi, toi).partition = partition(size, symbolBytes, maxBlock);
  }

  /** A symbol that was authentic and had not come before. */
  symbol(tsi: number, toi: number, sbn: number, esi: number): void {
    const sending = this.#sending(tsi, toi);
    let block = sending.blocks.get(sbn);
    if (block === undefined) {
      block = { index: this.#next, came: new Uint8Array(32) };
      this.#next += 1;
      this.#held += 1;
      sending.blocks.set(sbn, block);
      if (this.#held > BLOCKS_MAX) this.#sumUpOldest();
    }
    setBit(block.came, esi);
  }

  end(): BlockSums {
    for (const sending of this.#sendings.values()) this.#sumUp(sending);
    this.#sendings.clear();
    return {
      ...{ blocks: this.#blocks, byLost: this.#byLost, byMargin: this.#byMargin },
      ...{ rowBlocks: this.#rowBlocks, heat: this.#heat },
    };
  }

  #sending(tsi: number, toi: number): Sending {
    const name = `${String(tsi)}/${String(toi)}`;
    const known = this.#sendings.get(name);
    if (known !== undefined) return known;
    const made: Sending = { partition: undefined, blocks: new Map() };
    this.#sendings.set(name, made);
    return made;
  }

  #sumUpOldest(): void {
    for (const [name, sending] of this.#sendings) {
      if (sending.blocks.size === 0) continue;
      this.#sumUp(sending);
      this.#sendings.delete(name);
      return;
    }
  }

  #sumUp({ partition: shape, blocks }: Sending): void {
    this.#held -= blocks.size;
    if (shape === undefined) return;
    const whole = [...blocks].filter(([sbn]) => sbn < shape.blocks);
    const sentOf = new Map<number, Uint8Array>();
    for (const [sbn, { came }] of whole) {
      const k = blockLength(shape, sbn);
      const sent = sentOf.get(k) ?? new Uint8Array(32);
      for (const [i, byte] of came.entries()) sent[i] = (sent[i] ?? 0) | byte;
      sentOf.set(k, sent);
    }
    for (const [sbn, { index, came }] of whole) {
      const k = blockLength(shape, sbn);
      // Symbols that came of any block of the same length: what was sent of each, unless all lost the same.
      const sent = sentOf.get(k) ?? came;
      const row = this.#row(index) * HEAT_COLUMNS;
      let [there, lost] = [0, 0];
      for (let esi = 0; esi < HEAT_COLUMNS; esi += 1) {
        if (!bit(sent, esi)) continue;
        const isThere = bit(came, esi);
        there += Number(isThere);
        lost += Number(!isThere);
        this.#heat.sent[row + esi] = (this.#heat.sent[row + esi] ?? 0) + 1;
        this.#heat.lost[row + esi] = (this.#heat.lost[row + esi] ?? 0) + Number(!isThere);
      }
      this.#byLost.set(lost, (this.#byLost.get(lost) ?? 0) + 1);
      this.#byMargin.set(there - k, (this.#byMargin.get(there - k) ?? 0) + 1);
      this.#blocks += 1;
    }
    blocks.clear();
  }

  /** The row of a block; rows are joined in pairs when there would be too many. */
  #row(index: number): number {
    while (index >= HEAT_ROWS * this.#rowBlocks) {
      for (const sums of [this.#heat.sent, this.#heat.lost]) {
        for (let row = 0; row < HEAT_ROWS; row += 1) {
          for (let column = 0; column < HEAT_COLUMNS; column += 1) {
            const at = (of: number): number => (of < HEAT_ROWS ? (sums[of * HEAT_COLUMNS + column] ?? 0) : 0);
            sums[row * HEAT_COLUMNS + column] = at(2 * row) + at(2 * row + 1);
          }
        }
      }
      this.#rowBlocks *= 2;
    }
    return Math.floor(index / this.#rowBlocks);
  }
}
