import type { ContentType } from '@sluice/alc';
import type { Codec, FecProfile } from '@sluice/fec';
import type { Digest } from '@sluice/ports';
import type { Arena } from '@sluice/wasm';
import type { MonotonicNs } from '../stopwatch.ts';

/** One object to send: its bytes are asked of the `ObjectSource` by digest. */
export interface SendObject {
  readonly digest: Digest;
  /** Bytes, at least 1. */
  readonly size: number;
  readonly contentType: ContentType;
}

/**
 * What a pass brings: all of a bundle, some repair symbols of every block, its statements alone, or what a ticket asks for.
 */
export type PassKind = 'full' | 'top-up' | 'statements' | 'repair';

/** Source blocks from the first to the last of them. */
export type Blocks = readonly (readonly [first: number, last: number])[];

/** One pass of one bundle. */
export interface PassOrder {
  /** Id of the bundle, for progress only; not on the wire. */
  readonly bundle: string;
  readonly asid: number;
  /** Default `full`. */
  readonly kind?: PassKind;
  /** Of two passes that wait, the one of the higher priority leaves first; default 0. */
  readonly priority?: number;
  /** Of two that repeat bundles, the one of the later bundle; default 0. */
  readonly newness?: number;
  /** 0 for the first (PROTOCOL.md F-5). */
  readonly pass: number;
  /** Transport and release statement. */
  readonly statements: readonly SendObject[];
  readonly objects: readonly SendObject[];
  /** Blocks wanted of each object, in the same order; undefined for all of it. */
  readonly blocks?: readonly (Blocks | undefined)[];
  /** Blocks of the objects, in their order, that left already: the pass was cut off and goes on behind them. */
  readonly from?: number;
}

/** Where the bytes of objects come from. */
export interface ObjectSource {
  /** Fills `into` from `offset` of the object. Throws when it cannot: the pass is given up and reported. */
  read(digest: Digest, offset: number, into: Uint8Array): void;
}

export interface SendSettings {
  /** E, bytes. */
  readonly symbolBytes: number;
  readonly profile: FecProfile;
  /** Ethernet bits per second, Infinity for no ceiling. */
  readonly rate: number;
  /** Milliseconds of outage survived. */
  readonly outageMs: number;
  /** Most bytes of datagrams in one group; two groups are in memory at once. */
  readonly groupBytes: number;
  /** Milliseconds between the statements and the first blob, at least. */
  readonly statementLeadMs: number;
}

/**
 * Statement bytes that a receiver is given a millisecond for (PROTOCOL.md I-3). The receiver's thread judged a release of 100,000 files (36 to 42 MB) in
 * 1.0 to 2.2 s where it had a core for itself, 19 to 42 MB/s, and at 5 to 8 MB/s on two cores with several times the work they could do; what comes
 * before it has, link holds up to `unsignedBytesHeld`.
 */
const JUDGED_BYTES_PER_MS = 10_000;

/** Time that a receiver gets for statements of this size before the first blob. */
export const statementLeadNs = ({ statementLeadMs }: Pick<SendSettings, 'statementLeadMs'>, bytes: number): number =>
  Math.max(statementLeadMs, Math.floor(bytes / JUDGED_BYTES_PER_MS)) * NS_PER_MS;

/** Slots of one group: at least one block of any length goes in. */
export const slotBytes = ({ groupBytes, symbolBytes }: Pick<SendSettings, 'groupBytes' | 'symbolBytes'>): number =>
  Math.max(groupBytes, 255 * (symbolBytes + 64));

/** Slots of two groups, of a heartbeat and of an FDT Instance. */
export const plainArenaBytes = (settings: SendSettings): number =>
  2 * slotBytes(settings) + 2 * 255 * (settings.symbolBytes + 64) + 2 ** 16;

/** What an arena must hold for a machine with these settings. */
export const sendArenaBytes = (settings: SendSettings): number => plainArenaBytes(settings) + 2 ** 21;

export interface SendParts {
  /** Where datagrams are made, by the kernel, with room for `sendArenaBytes`. Without one the plain form makes them. */
  readonly arena?: Arena;
  readonly codec: Codec;
  readonly source: ObjectSource;
  /** Sender time, Unix seconds: for EXT_TIME, FDT Expires, and when a session may be used. */
  readonly wallSeconds: () => number;
  readonly onEvent: (event: SendEvent) => void;
  /** Times the stops, for who wants to know. */
  readonly clock?: MonotonicNs;
}

/** What the sending half spends its time on. */
export const SEND_STOPS = ['read', 'frame', 'protect', 'tag'] as const;
export type SendStop = (typeof SEND_STOPS)[number];

export type SendEvent =
  | {
      readonly type: 'progress';
      readonly bundle: string;
      readonly pass: number;
      readonly kind: PassKind;
      /** Blocks of the objects that have left, those before the start included. */
      readonly sentBlocks: number;
      readonly sentBytes: number;
      readonly totalBytes: number;
    }
  | { readonly type: 'pass-done'; readonly bundle: string; readonly pass: number; readonly kind: PassKind }
  | {
      readonly type: 'pass-failed';
      readonly bundle: string;
      readonly pass: number;
      readonly kind: PassKind;
      readonly error: unknown;
    }
  /** The session is used though the clock is so many seconds behind its epoch (PROTOCOL.md S-1). */
  | { readonly type: 'epoch-ahead'; readonly tsi: number; readonly seconds: number };

/** What has left so far, in datagrams and symbols. */
export interface SendCounters {
  datagrams: number;
  sourceSymbols: number;
  repairSymbols: number;
  fdtDatagrams: number;
  heartbeats: number;
}

export const FDT_INTERVAL_NS = 250_000_000;
export const NS_PER_MS = 1_000_000;
