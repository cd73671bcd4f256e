import type { Digest } from '@sluice/ports';

/** What the thread that writes batches is started with. */
export interface BatchPlaces {
  /** Where blobs lie under their names. */
  readonly blobs: string;
  /** Where they are written first. */
  readonly tmp: string;
}

/** Blobs end to end in one piece of memory, which goes over to the thread. */
export interface Batch {
  readonly id: number;
  readonly bytes: ArrayBuffer;
  readonly blobs: readonly { readonly digest: Digest; readonly size: number }[];
}

/** How a batch ended. `named`: names were given whose directory is not synced. */
export type BatchEnd =
  | { readonly id: number; readonly type: 'stored' }
  | { readonly id: number; readonly type: 'mismatch'; readonly digest: Digest; readonly named: boolean }
  | {
      readonly id: number;
      readonly type: 'io';
      readonly message: string;
      readonly code: string;
      readonly syscall: string;
      readonly named: boolean;
    };
