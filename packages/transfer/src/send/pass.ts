import { encodeFdt, type FdtFile, ntpFromUnix, splitFdt } from '@sluice/alc';
import { partition } from '@sluice/fec';
import { type BlockRef, blocksOf, type Framer, type Selection, symbolsOf } from './framer.ts';
import { interleave, shortestAirtime, shortestSpacing } from './order.ts';
import { BURST_NS } from './pacer.ts';
import type { SendSession } from './session.ts';
import {
  type Blocks,
  NS_PER_MS,
  type PassOrder,
  type SendObject,
  type SendParts,
  type SendSettings,
  statementLeadNs,
} from './types.ts';

/** FDT Instances are good for a day of sender time; heartbeats' for a minute. */
export const FDT_LIFE_SECONDS = 86_400;
/** Sendings of the statements in one pass: two before the blobs, one at the end (PROTOCOL.md I-3). */
const STATEMENT_SENDINGS = 3;

/** An FDT Instance while its objects are on air. */
export interface OnAirFdt {
  readonly session: SendSession;
  readonly instanceId: number;
  readonly asid: number;
  readonly document: Uint8Array;
  /** Sendings so far. */
  repeats: number;
  /** Not before this time, nanoseconds. */
  due: number;
}

/** A stretch of departures: datagrams in slots ready but for SN and tag, or a time in which nothing leaves. */
export type Run =
  | {
      readonly type: 'symbols';
      readonly session: SendSession;
      readonly asid: number;
      /** Address of the first slot in the arena. */
      readonly slots: number;
      readonly count: number;
      /** Airtime of each datagram, nanoseconds; at least the rate's own. */
      readonly spacingNs: number;
      readonly fdts: readonly OnAirFdt[];
      readonly sourceBytes: number;
      /** Blocks of objects in it; statements are none. */
      readonly blocks: number;
    }
  | { readonly type: 'quiet'; readonly ns: number };

/** A run that is ready, or that one block more of it is. */
export type Step = Run | { readonly type: 'working' };

interface PassParts {
  readonly settings: SendSettings;
  readonly parts: SendParts;
  readonly framer: Framer;
  /** Link time of one datagram at the rate's ceiling. */
  readonly datagramNs: number;
  /** Address of slots for the next run, which the run now leaving does not use. They hold `slotBytes`. */
  readonly buffer: () => number;
  readonly slotBytes: number;
}

/** Gives objects their TOIs and the FDT Instances that name them. */
export function announce(
  objects: readonly SendObject[],
  asid: number,
  session: SendSession,
  { settings, parts }: Pick<PassParts, 'settings' | 'parts'>,
  lifeSeconds = FDT_LIFE_SECONDS,
): { readonly object: SendObject; readonly toi: number; readonly fdt: OnAirFdt }[] {
  const expires = ntpFromUnix(parts.wallSeconds() + lifeSeconds);
  const files: FdtFile[] = objects.map((object) => ({
    toi: session.nextToi(),
    digest: object.digest,
    length: object.size,
    contentType: object.contentType,
  }));
  const shape = { expires, maxBlock: settings.profile.maxBlock, symbolBytes: settings.symbolBytes, maxSymbols: 255 };
  const fdtOfToi = new Map<number, OnAirFdt>();
  for (const instance of splitFdt(shape, files)) {
    const onAir = { session, instanceId: session.nextFdtId(), asid, document: encodeFdt(instance), repeats: 0, due: 0 };
    for (const file of instance.files) fdtOfToi.set(file.toi, onAir);
  }
  return objects.map((object, i) => {
    const toi = files[i]?.toi ?? 0;
    const fdt = fdtOfToi.get(toi);
    if (fdt === undefined) throw new Error('an object without an FDT Instance');
    return { object, toi, fdt };
  });
}

/** An object of a pass, or some of it. */
interface Part extends Selection {
  readonly object: SendObject;
}

/** What an order brings of its objects: blocks that left before are over. */
function partsOf({ objects, blocks, kind, from = 0 }: PassOrder, { symbolBytes, profile }: SendSettings): Part[] {
  let left = from;
  return objects.flatMap((object, i): Part[] => {
    const { blocks: count } = partition(object.size, symbolBytes, profile.maxBlock);
    const wanted: Blocks = blocks?.[i] ?? [[Math.min(left, count), count - 1]];
    left = Math.max(0, left - count);
    const [[first, last] = [0, -1]] = wanted;
    return last < first ? [] : [{ object, blocks: wanted, topUp: kind === 'top-up' }];
  });
}

/** Symbols of a block beyond the k that make it whole: an outage may take half of them. A top-up has none to give. */
const spareIn = (esis: Uint8Array, k: number): number => Math.max(0, esis.length - k);

interface Member {
  readonly ref: BlockRef;
  readonly fdt: OnAirFdt;
}

const bytesOf = (objects: readonly SendObject[]): number => objects.reduce((sum, { size }) => sum + size, 0);

/** Stops 3 to 6 of one pass, in order: statements twice, quiet, groups of blobs, statements once more. */
export class Pass {
  readonly order: PassOrder;
  readonly totalBytes: number;
  readonly #session: SendSession;
  readonly #with: PassParts;

  /** A pass stays in one session from its first datagram to its last. */
  constructor(order: PassOrder, session: SendSession, parts: PassParts) {
    this.order = order;
    this.#session = session;
    this.#with = parts;
    this.totalBytes = bytesOf(order.objects);
  }

  *steps(): Generator<Step> {
    const { pass, statements } = this.order;
    const { settings } = this.#with;
    for (let sending = 0; sending < STATEMENT_SENDINGS - 1; sending += 1) {
      yield* this.#statements(pass * STATEMENT_SENDINGS + sending);
    }
    const parts = partsOf(this.order, settings);
    if (parts.length > 0) {
      if (statements.length > 0) yield { type: 'quiet', ns: statementLeadNs(settings, bytesOf(statements)) };
      yield* this.#grouped(parts, pass, true);
    }
    yield* this.#statements(pass * STATEMENT_SENDINGS + STATEMENT_SENDINGS - 1);
  }

  *#statements(run: number): Generator<Step> {
    const parts = this.order.statements.map((object) => ({ object }));
    yield* this.#grouped(parts, run, false);
  }

  *#members(parts: readonly Part[], run: number): Generator<Member> {
    const objects = parts.map(({ object }) => object);
    const announced = announce(objects, this.order.asid, this.#session, this.#with);
    for (const [i, { object, toi, fdt }] of announced.entries()) {
      for (const ref of blocksOf(object, toi, run, this.#with.settings, parts[i])) yield { ref, fdt };
    }
  }

  /** Cuts the blocks into groups: long enough in time for the outage, or as large as memory allows. */
  *#grouped(parts: readonly Part[], run: number, counted: boolean): Generator<Step> {
    if (parts.length === 0) return;
    const { settings, datagramNs, framer, slotBytes } = this.#with;
    const most = Math.floor(slotBytes / framer.datagramBytes);
    // What leaves in any stretch of time may be one burst more than its length, so an outage reaches that much further.
    const outageNs = settings.outageMs === 0 ? 0 : settings.outageMs * NS_PER_MS + BURST_NS;
    let group: Member[] = [];
    let symbols = 0;
    let airtime = 0;
    let left = parts.reduce((sum, part) => sum + symbolsOf(part.object, settings, part), 0);
    for (const member of this.#members(parts, run)) {
      const { k, esis } = member.ref;
      if (group.length > 0 && symbols + esis.length > most) {
        yield* this.#run(group, symbols, 0, counted);
        [group, symbols, airtime] = [[], 0, 0];
      }
      group.push(member);
      symbols += esis.length;
      left -= esis.length;
      airtime = Math.max(airtime, shortestAirtime(k, spareIn(esis, k), outageNs));
      // A rest too short for a group of its own would have to be stretched: it joins this one.
      if (symbols * datagramNs >= airtime && left * datagramNs >= airtime && datagramNs > 0) {
        yield* this.#run(group, symbols, outageNs, counted);
        [group, symbols, airtime] = [[], 0, 0];
      }
    }
    if (group.length > 0) yield* this.#run(group, symbols, outageNs, counted);
  }

  /** @param outageNs outage that the spacing of the datagrams must survive; 0 where memory, not time, ended the group. */
  *#run(group: readonly Member[], symbols: number, outageNs: number, counted: boolean): Generator<Step> {
    const { framer, datagramNs } = this.#with;
    const slots = this.#with.buffer();
    const order = interleave(group.map((member) => member.ref.esis.length));
    let sourceBytes = 0;
    let spacingNs = datagramNs;
    for (const [i, { ref }] of group.entries()) {
      const own = order[i] ?? new Uint32Array();
      spacingNs = Math.max(spacingNs, shortestSpacing(own, spareIn(ref.esis, ref.k), outageNs));
      framer.block(ref, this.#session.tsi, this.order.asid, slots, own);
      sourceBytes += Math.min(ref.k * this.#with.settings.symbolBytes, ref.object.size);
      yield { type: 'working' };
    }
    yield {
      type: 'symbols',
      session: this.#session,
      asid: this.order.asid,
      slots,
      count: symbols,
      spacingNs,
      fdts: [...new Set(group.map((member) => member.fdt))],
      sourceBytes,
      blocks: counted ? group.length : 0,
    };
  }
}
