// What readers of captures yield and count.
import type { InterfaceCounts } from './section.ts';
import { SKIP_REASONS, type SkipReason, type UdpDatagram } from './frames.ts';

/** Why reading of a capture stopped. */
export const CAPTURE_CODES = ['not-a-capture', 'truncated', 'bad-block', 'bad-version', 'too-many-interfaces'] as const;
export type CaptureCode = (typeof CAPTURE_CODES)[number];

export interface CapturedDatagram {
  readonly kind: 'datagram';
  /** Nanoseconds since 1970; 0 when the capture has no time for it (Simple Packet Block). */
  readonly timestampNs: bigint;
  readonly udp: UdpDatagram;
  /** The packet's first comment, at most 256 bytes of it. Hostile text: print it through a sink. */
  readonly comment: string | undefined;
  /** Index within its section. */
  readonly interfaceId: number;
}

/** What whoever wrote the capture says of an interface: also what is not in it. */
export interface CaptureStatistics {
  readonly kind: 'statistics';
  readonly seen: InterfaceCounts;
}

/** Reading of this capture ends here; what came before holds. */
export interface CaptureFault {
  readonly kind: 'fault';
  readonly code: CaptureCode;
  /** Where the block or record starts that could not be read. */
  readonly offset: number;
}

export interface CaptureCounts {
  readonly datagrams: number;
  readonly skipped: Readonly<Record<SkipReason, number>>;
  /** Blocks that are neither packets nor descriptions. */
  readonly otherBlocks: number;
  readonly bytes: number;
}

export interface Counts {
  datagrams: number;
  readonly skipped: Record<SkipReason, number>;
  otherBlocks: number;
}

export function emptyCounts(): Counts {
  const skipped = Object.fromEntries(SKIP_REASONS.map((reason) => [reason, 0]));
  return { datagrams: 0, skipped: skipped as Record<SkipReason, number>, otherBlocks: 0 };
}

export const fault = (code: CaptureCode, offset: number): CaptureFault => ({ kind: 'fault', code, offset });
