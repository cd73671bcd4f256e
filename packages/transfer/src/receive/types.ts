import type { ContentType } from '@sluice/alc';
import type { Codec } from '@sluice/fec';
import type { DatagramCode, Digest, LinkKey, Sha256, Verdict } from '@sluice/ports';
import type { Arena } from '@sluice/wasm';
import type { MonotonicNs } from '../stopwatch.ts';

/** An object as its FDT names it, with the channel by whose key it came. */
export interface ObjectInfo {
  readonly digest: Digest;
  /** Transfer length, bytes. */
  readonly size: number;
  readonly contentType: ContentType;
  readonly symbolBytes: number;
  readonly maxBlock: number;
  readonly asid: number;
  readonly channel: string;
}

/** Name of an object's place in the spool: digest, transfer length, E and B (PROTOCOL.md O-1). */
export const spoolKey = (info: Pick<ObjectInfo, 'digest' | 'size' | 'symbolBytes' | 'maxBlock'>): string =>
  `${info.digest.slice(7)}-${String(info.size)}-${String(info.symbolBytes)}-${String(info.maxBlock)}`;

/** Where whole source blocks go. Called in the middle of receiving: it must not wait. */
export interface SpoolPort {
  /**
   * An FDT named this object. Answers which of its blocks are stored already (bit SBN, least significant bit first),
   * that it is complete, or why it is refused.
   */
  open(info: ObjectInfo): { readonly stored: Uint8Array } | 'complete' | DatagramCode;
  /**
   * The bytes of one whole block. `stored`, or why it was not taken (it may come again).
   * @param release called once when `bytes` are no longer needed, if they were taken; they are valid until then
   */
  block(info: ObjectInfo, sbn: number, offset: number, bytes: Uint8Array, release: () => void): 'stored' | DatagramCode;
}

/** Named limits; reaching one is counted and survivable. */
export interface ReceiveLimits {
  /** Bytes of symbols held for blocks not yet whole. */
  readonly blockBytes: number;
  /** Bytes of symbols held whose TOI no FDT has named yet. */
  readonly unknownToiBytes: number;
  /** Largest object, bytes. */
  readonly objectBytes: number;
  /** Objects (spool keys) followed at once. */
  readonly objects: number;
  /** TOIs remembered in a session. */
  readonly tois: number;
  /** FDT Instances being put together in a session. */
  readonly fdtInstances: number;
}

export const DEFAULT_LIMITS: ReceiveLimits = {
  blockBytes: 256 * 2 ** 20,
  unknownToiBytes: 16 * 2 ** 20,
  objectBytes: 2 ** 40,
  objects: 200_000,
  tois: 200_000,
  fdtInstances: 64,
};

export interface ReceiveParts {
  /** By ASID. */
  readonly keys: readonly (LinkKey | undefined)[];
  readonly codec: Codec;
  readonly sha256: Sha256;
  readonly spool: SpoolPort;
  readonly onEvent: (event: ReceiveEvent) => void;
  /** Hears which object a TOI of a session stands for, for who looks at single symbols. */
  readonly onNamed?: (tsi: number, toi: number, info: ObjectInfo) => void;
  /**
   * Where blocks are gathered, with room for `receiveArenaBytes`. Batches that lie in it are judged by the kernel.
   * Without one the machine makes its own, and every datagram is judged one by one.
   */
  readonly arena?: Arena;
  /** Times the stops, for who wants to know. */
  readonly clock?: MonotonicNs;
}

/** What the receiving half spends its time on. */
export const RECEIVE_STOPS = ['split', 'admit', 'tag', 'gather', 'recover'] as const;
export type ReceiveStop = (typeof RECEIVE_STOPS)[number];

/** Tables of codec and kernel, replay windows, symbols being recovered. */
const KERNEL_BYTES = 8 * 2 ** 20;

/** What an arena must hold for a machine with these limits, beside the batches. */
export const receiveArenaBytes = (limits: ReceiveLimits): number => limits.blockBytes + KERNEL_BYTES;

/** The same for one that judges datagrams one by one: blocks and replay windows alone. */
export const plainArenaBytes = (limits: ReceiveLimits): number => limits.blockBytes + 2 ** 17;

export type ReceiveEvent =
  | { readonly type: 'session'; readonly tsi: number }
  | { readonly type: 'epoch-went-back'; readonly tsi: number; readonly highest: number }
  | { readonly type: 'object'; readonly info: ObjectInfo; readonly blocks: number; readonly stored: number }
  | { readonly type: 'object-whole'; readonly info: ObjectInfo; readonly blocks: number }
  | {
      readonly type: 'heartbeat';
      readonly asid: number;
      readonly channel: string;
      readonly tsi: number;
      readonly senderNtp: number | undefined;
      readonly body: Uint8Array;
    }
  | { readonly type: 'margin'; readonly info: ObjectInfo; readonly worst: number; readonly recovered: number };

/** A session and the highest sequence number accepted in it. */
export interface SeenSession {
  readonly tsi: number;
  readonly sn: number;
}

/** A batch with a verdict for each datagram, in order. Valid during the call only. */
export interface JudgedBatch {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  readonly count: number;
  readonly verdicts: readonly Verdict[];
}

/** Counters of the receiving half; datagrams by verdict. */
export interface ReceiveCounters {
  readonly verdicts: Map<Verdict, number>;
  /** Authentic datagrams by ASID. */
  readonly authentic: number[];
  blocks: number;
  /** Source symbols computed from repair symbols. */
  recoveredSymbols: number;
  /** Symbols of blocks dropped for want of memory. */
  evictedSymbols: number;
  /** Symbols of unknown TOIs dropped from the FIFO. */
  unknownToiDropped: number;
}
