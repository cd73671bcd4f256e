import type { Digest, SpooledPack } from '@sluice/ports';

/** What the thread that writes batches is started with. */
export interface BatchPlaces {
  /** Where blobs lie under their names. */
  readonly blobs: string;
  /** Where they are written first. */
  readonly tmp: string;
  /** Where packs lie under theirs. */
  readonly packs: string;
  /** What lies in which pack. */
  readonly index: string;
}

/** Packs that the thread reads for itself. */
export interface PackBatch {
  readonly id: number;
  readonly type: 'packs';
  readonly packs: readonly SpooledPack[];
}

/** Blobs end to end in one piece of memory, which goes over to the thread. */
export interface Batch {
  readonly id: number;
  readonly type: 'blobs';
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
