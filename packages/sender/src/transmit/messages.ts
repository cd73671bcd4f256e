import type { Digest, OperationalCode, TagAlgorithm } from '@sluice/ports';
import type { PassKind, PassOrder, SendCounters } from '@sluice/transfer';

/** What the transmit worker is started with. Keys are bytes: key objects do not cross threads. */
export interface TransmitOptions {
  readonly host: string;
  readonly port: number;
  readonly io: 'auto' | 'native' | 'portable';
  /** Ethernet bits per second; undefined for no ceiling. */
  readonly rate: number | undefined;
  readonly symbolBytes: number;
  readonly profile: { readonly name: string; readonly maxBlock: number; readonly repair: number };
  readonly outageMs: number;
  readonly groupBytes: number;
  readonly statementLeadMs: number;
  readonly keys: readonly {
    readonly asid: number;
    readonly channel: string;
    readonly algorithm: TagAlgorithm;
    readonly key: Uint8Array;
  }[];
  readonly tsi: number;
  /** Root of the staging store: objects lie at `blobs/sha256/HEX` below it. */
  readonly storeRoot: string;
  /** Counted up and notified whenever a message was posted, so that an idle worker wakes at once. */
  readonly wake: Int32Array;
}

export type ToTransmit =
  | { readonly type: 'pass'; readonly order: PassOrder }
  | { readonly type: 'cancel'; readonly bundle: string }
  | { readonly type: 'heartbeat'; readonly asid: number; readonly digest: Digest; readonly body: Uint8Array }
  | { readonly type: 'history'; readonly asid: number; readonly digest: Digest; readonly body: Uint8Array }
  | { readonly type: 'roll'; readonly tsi: number }
  /** What waits with one key goes with another; what is on air ends as it began. */
  | { readonly type: 'rekey'; readonly from: number; readonly to: number }
  | { readonly type: 'pause'; readonly paused: boolean }
  | { readonly type: 'stop' };

export type FromTransmit =
  | { readonly type: 'ready'; readonly io: string; readonly why: string }
  | {
      readonly type: 'progress';
      readonly bundle: string;
      readonly pass: number;
      readonly kind: PassKind;
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
      readonly reason: string;
    }
  /** The kernel takes no datagrams; they are offered again, and the pass waits. Said once, until one is taken again. */
  | { readonly type: 'send-refused'; readonly code: OperationalCode; readonly reason: string }
  /** The session is used though the clock is so many seconds behind its epoch (PROTOCOL.md S-1). */
  | { readonly type: 'epoch-ahead'; readonly tsi: number; readonly seconds: number }
  /** The kernel does less than was hoped for. */
  | { readonly type: 'note'; readonly text: string }
  /** The session's numbers are worn, or the wall clock jumped: a new TSI is wanted (PROTOCOL.md S-2). */
  | { readonly type: 'roll-wanted'; readonly why: 'worn' | 'clock' }
  | { readonly type: 'status'; readonly status: TransmitStatus };

export interface TransmitStatus {
  readonly tsi: number;
  readonly pending: number;
  readonly counters: SendCounters;
  readonly stalls: number;
  readonly stalledNs: number;
  /** Nanoseconds that each stop of the worker has taken. */
  readonly stageNs: Readonly<Record<string, number>>;
  /** Sends that the kernel refused and that were tried again. */
  readonly sendErrors: number;
  /** Why the kernel takes nothing just now; undefined while it does. */
  readonly refusal: string | undefined;
}
