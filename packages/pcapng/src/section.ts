// What a pcapng section says about its interfaces, and how its blocks' fields and options are read. Pure, total.
import {
  IF_TSOFFSET,
  IF_TSRESOL,
  ISB_ENDTIME,
  ISB_IFDROP,
  ISB_IFRECV,
  ISB_OSDROP,
  ISB_STARTTIME,
  ISB_USRDELIV,
  OPT_COMMENT,
  OPT_END,
  padded,
} from './blocks.ts';
import { COMMENT_BYTES_MAX } from './limits.ts';

export interface CaptureInterface {
  readonly linkType: number;
  /** Nanoseconds since 1970 of a 64-bit time. */
  readonly toNs: (units: bigint) => bigint;
  readonly snapBytes: number;
}

const NS_PER_SECOND = 1_000_000_000n;
const decoder = new TextDecoder();

/** The value of the first option with this code, within `bytes` from `at`; undefined when absent or malformed. */
export function option(view: DataView, at: number, code: number, littleEndian: boolean): DataView | undefined {
  let offset = at;
  while (offset + 4 <= view.byteLength) {
    const found = view.getUint16(offset, littleEndian);
    const length = view.getUint16(offset + 2, littleEndian);
    if (found === OPT_END || offset + 4 + length > view.byteLength) return undefined;
    if (found === code) return new DataView(view.buffer, view.byteOffset + offset + 4, length);
    offset += 4 + padded(length);
  }
  return undefined;
}

/** A packet's comment, cut to its limit; bytes that are not UTF-8 are replaced. */
export function commentOf(view: DataView, at: number, littleEndian: boolean): string | undefined {
  const found = option(view, at, OPT_COMMENT, littleEndian);
  if (found === undefined) return undefined;
  return decoder.decode(new Uint8Array(found.buffer, found.byteOffset, Math.min(found.byteLength, COMMENT_BYTES_MAX)));
}

function converter(resolution: number, offsetSeconds: bigint): (units: bigint) => bigint {
  const offset = offsetSeconds * NS_PER_SECOND;
  const power = BigInt(resolution & 0x7f);
  if (resolution >= 0x80) return (units) => offset + ((units * NS_PER_SECOND) >> power);
  if (power > 9n) return (units) => offset + units / 10n ** (power - 9n);
  const factor = 10n ** (9n - power);
  return (units) => offset + units * factor;
}

/** Reads the body of an Interface Description Block (8 bytes at least). */
export function captureInterface(body: DataView, littleEndian: boolean): CaptureInterface {
  const resolution = option(body, 8, IF_TSRESOL, littleEndian);
  const shift = option(body, 8, IF_TSOFFSET, littleEndian);
  const microseconds = 6;
  const resolutionValue = resolution?.byteLength === 1 ? resolution.getUint8(0) : microseconds;
  const shiftSeconds = shift?.byteLength === 8 ? shift.getBigInt64(0, littleEndian) : 0n;
  return {
    linkType: body.getUint16(0, littleEndian),
    toNs: converter(resolutionValue, shiftSeconds),
    snapBytes: body.getUint32(4, littleEndian),
  };
}

/** Counters of an Interface Statistics Block; 0 for one that it does not have. Times are its units since 1970. */
export interface InterfaceCounts {
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly received: number;
  readonly droppedByLog: number;
  readonly droppedByKernel: number;
  readonly written: number;
}

/** Reads the body of an Interface Statistics Block; undefined for one that is too short. */
export function statisticsOf(body: Uint8Array, littleEndian: boolean): InterfaceCounts | undefined {
  if (body.length < 12) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const value = (code: number): DataView | undefined => {
    const found = option(view, 12, code, littleEndian);
    return found?.byteLength === 8 ? found : undefined;
  };
  const count = (code: number): number => {
    const read = value(code)?.getBigUint64(0, littleEndian) ?? 0n;
    return read > BigInt(Number.MAX_SAFE_INTEGER) ? 0 : Number(read);
  };
  const time = (code: number): bigint => {
    const found = value(code);
    if (found === undefined) return 0n;
    return (BigInt(found.getUint32(0, littleEndian)) << 32n) | BigInt(found.getUint32(4, littleEndian));
  };
  return {
    startNs: time(ISB_STARTTIME),
    endNs: time(ISB_ENDTIME),
    received: count(ISB_IFRECV),
    droppedByLog: count(ISB_IFDROP),
    droppedByKernel: count(ISB_OSDROP),
    written: count(ISB_USRDELIV),
  };
}
