import type { GatheringBlock } from './gather.ts';
import type { ReceivingObject } from './object.ts';
import { infoOf, type ReceiveSession } from './session.ts';
import type { ObjectInfo, SeenSession } from './types.ts';

/**
 * What a machine holds that the one after it would otherwise miss, though it came: how far the live session is, which
 * objects its TOIs stand for, and the symbols of blocks that are not whole.
 */
export type HandoverItem =
  | { readonly type: 'seen'; readonly tsi: number; readonly sn: number }
  | { readonly type: 'name'; readonly tsi: number; readonly toi: number; readonly info: ObjectInfo }
  | {
      readonly type: 'block';
      readonly info: ObjectInfo;
      readonly sbn: number;
      /** ESI of each symbol. */
      readonly esis: Uint8Array;
      /** The symbols in that order, `info.symbolBytes` bytes each. Valid until the next item. */
      readonly symbols: Uint8Array;
    };

/** Of how far two runs followed the live session, the further. A file that was removed may be there again once the power was lost. */
export const laterOf = (item: SeenSession, known: SeenSession | undefined): SeenSession =>
  known === undefined || item.tsi > known.tsi || (item.tsi === known.tsi && item.sn > known.sn) ? item : known;

/** TOIs named last that are handed over of a session: those before are long off the air. */
const NAMES = 20_000;

/** Names of a session: those of the objects alone. */
export function* namesOf(session: ReceiveSession): Generator<HandoverItem> {
  for (const { tois } of session.channels) {
    let before = tois.size - NAMES;
    for (const [toi, entry] of tois) {
      before -= 1;
      if (before < 0 && entry.type !== 'heartbeat') yield { type: 'name', tsi: session.tsi, toi, info: infoOf(entry) };
    }
  }
}

/** Blocks of an object that are not whole. */
export function* blocksOf(object: ReceivingObject): Generator<HandoverItem> {
  for (const { sbn } of object.missing()) {
    const block = object.gathering(sbn);
    if (block !== undefined && block.have > 0) yield { type: 'block', info: object.info, sbn, ...symbolsOf(block) };
  }
}

function symbolsOf({ bytes, esis, symbolBytes, have }: GatheringBlock): {
  readonly esis: Uint8Array;
  readonly symbols: Uint8Array;
} {
  const slots = [...esis.keys()].filter((slot) => esis[slot] !== 255);
  const symbols = new Uint8Array(have * symbolBytes);
  for (const [i, slot] of slots.entries())
    symbols.set(bytes.subarray(slot * symbolBytes, (slot + 1) * symbolBytes), i * symbolBytes);
  return { esis: Uint8Array.from(slots, (slot) => esis[slot] ?? 255), symbols };
}
