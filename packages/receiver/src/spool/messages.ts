import type { Digest, Refusal } from '@sluice/ports';

/** A file of the spool that may still grow. */
export interface SpoolFile {
  /** Tells it from all others. */
  readonly name: string;
  readonly path: string;
  readonly digest: Digest;
  /** Bytes of the whole. */
  readonly size: number;
}

/** Where a blob lies in a pack. */
export interface Member {
  readonly digest: Digest;
  readonly offset: number;
  readonly size: number;
}

export type ToSpoolThread =
  /** The first `bytes` bytes of the file are on disk and stay as they are. */
  | { readonly type: 'follow'; readonly file: SpoolFile; readonly bytes: number }
  /** The file is whole: what of it was not hashed yet, is hashed now. */
  | { readonly type: 'finish'; readonly call: number; readonly file: SpoolFile; readonly asPack: boolean }
  | { readonly type: 'drop'; readonly name: string };

/** What a whole file turned out to be. */
export type Finished =
  /** Its bytes are not what its digest says. */
  | { readonly type: 'damaged' }
  | { readonly type: 'holds'; readonly members: readonly Member[]; readonly stamp: string }
  /** The digest holds, but it is no pack. */
  | { readonly type: 'refused'; readonly refusal: Refusal };

export type FromSpoolThread =
  | { readonly call: number; readonly finished: Finished }
  /** An error of the file system. */
  | { readonly call: number; readonly failure: { readonly code: string; readonly message: string } };
