// What the chunk log is told, and what it tells.
import type { LogInterface } from './envelope.ts';
import type { SectionDescription, Target } from './write-blocks.ts';

export type ChunkLogMode = 'off' | 'headers' | 'full';

export interface LogClock {
  /** Milliseconds since 1970 by the wall clock. */
  wallMs(): number;
  /** Milliseconds of uptime, never going back. */
  upMs(): number;
}

export interface ChunkLogOptions {
  readonly mode: ChunkLogMode;
  readonly interfaces: readonly LogInterface[];
  readonly section: SectionDescription;
  /** A file is closed when it has this many bytes or this age. */
  readonly fileBytes: number;
  readonly fileAgeMs: number;
  /** All files together, the open one included. */
  readonly totalBytes: number;
  /** Memory for datagrams that are not written yet. */
  readonly bufferBytes: number;
  /** How often a partly filled piece is written. */
  readonly flushMs: number;
  /** How long to wait after the disk failed. */
  readonly retryMs: number;
  /** Datagrams the kernel dropped on an interface since the process began. */
  readonly kernelDrops?: (interfaceId: number) => number;
}

export interface ChunkLogState {
  readonly mode: ChunkLogMode;
  /** `failing`: the last write did not succeed (`failure` says why); it is tried again. */
  readonly state: 'ok' | 'failing';
  readonly failure: string | undefined;
  readonly failures: number;
  readonly file: string | undefined;
  readonly written: number;
  readonly dropped: number;
  readonly bufferedBytes: number;
}

/** Some whole blocks, and how many of them belong to each interface. */
export interface Piece extends Target {
  readonly counts: number[];
  used: number;
  /** When the first and the last of them were received; of an empty piece undefined. */
  firstNs: bigint | undefined;
  lastNs: bigint;
}
