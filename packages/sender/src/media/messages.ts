import type { TagAlgorithm } from '@sluice/ports';
import type { PassOrder } from '@sluice/transfer';

/** What the media worker is started with. Keys are bytes: key objects do not cross threads. */
export interface MediaOptions {
  readonly order: PassOrder;
  readonly symbolBytes: number;
  readonly profile: { readonly name: string; readonly maxBlock: number; readonly repair: number };
  readonly groupBytes: number;
  readonly statementLeadMs: number;
  readonly key: {
    readonly asid: number;
    readonly channel: string;
    readonly algorithm: TagAlgorithm;
    readonly key: Uint8Array;
  };
  readonly tsi: number;
  /** `portable`: no native code. */
  readonly io: 'auto' | 'native' | 'portable';
  /** Root of the staging store. */
  readonly storeRoot: string;
  /** Pieces that may be handed over; the worker waits for more. */
  readonly credit: Int32Array;
}

export type FromMedia =
  /** Records: eight bytes of link time, nanoseconds, then a datagram. */
  | { readonly type: 'piece'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'done' };
