import type { Digest } from '@sluice/ports';
import { UsageError } from '../arguments.ts';

/** What of a log is looked at; undefined: all of it. */
export interface Selection {
  /** Nanoseconds since 1970. */
  readonly from: bigint | undefined;
  readonly to: bigint | undefined;
  readonly port: number | undefined;
  readonly tsi: number | undefined;
  /** Objects that come out; datagrams of the others still count. */
  readonly objects: ReadonlySet<Digest> | undefined;
}

export function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new UsageError('--port takes a UDP port, 1 to 65535');
}

/** A time such as 2026-11-24T08:15:00Z, nanoseconds since 1970. */
export function timeOf(text: string | undefined, option: string): bigint | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  if (!Number.isFinite(ms)) throw new UsageError(`--${option} takes a time such as 2026-11-24T08:15:00Z`);
  return BigInt(ms) * 1_000_000n;
}

export function sessionOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const tsi = Number(text);
  if (Number.isInteger(tsi) && tsi >= 1 && tsi < 2 ** 32) return tsi;
  throw new UsageError('--session takes the number of a session (TSI)');
}
