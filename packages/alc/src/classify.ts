// The fast path (docs/PROTOCOL.md L-1): compares at fixed offsets, nothing allocated, before any tag is computed.
import type { DatagramCode } from '@sluice/ports';
import { u16, u24, u32, u40, u48, u8 } from './bytes.ts';
import {
  ASID_OFFSET,
  AUTH_OFFSET,
  CCI_OFFSET,
  CODEPOINT,
  ESI_OFFSET,
  EXT_FDT_OFFSET,
  EXT_FTI_OFFSET,
  EXT_TIME_OFFSET,
  FDT_ESI_OFFSET,
  FDT_HEADER_BYTES,
  FDT_SBN_OFFSET,
  FLUTE_VERSION,
  HDR_LEN_FDT,
  HDR_LEN_OBJECT,
  HEADER_BYTES,
  HEL_AUTH,
  HEL_FTI,
  HEL_TIME,
  HET_AUTH,
  HET_FDT,
  HET_FTI,
  HET_TIME,
  LCT_BYTE_0,
  LCT_BYTE_1,
  NTP_OFFSET,
  SBN_OFFSET,
  SCT_HIGH_ONLY,
  SN_OFFSET,
  TOI_OFFSET,
  TSI_OFFSET,
} from './layout.ts';
import { FDT_BYTES_MAX, MAX_BLOCK_MAX, MAX_SYMBOLS, SYMBOL_BYTES_MAX, SYMBOL_BYTES_MIN } from './limits.ts';
import { SYMBOL_BYTES_STEP } from './limits.ts';

const AUTH_WORD = (HET_AUTH << 8) | HEL_AUTH;
const FDT_WORD = (HET_FDT << 4) | FLUTE_VERSION;
const FTI_WORD = (HET_FTI << 8) | HEL_FTI;
const TIME_WORD = ((HET_TIME << 24) | (HEL_TIME << 16) | SCT_HIGH_ONLY) >>> 0;
const RESERVED_CLASS = 3;

/**
 * Which of the two forms the datagram at `offset` has, or why it has none.
 * The ASID is not judged (the key table does), nor whether the length is the session's.
 */
export function classify(bytes: Uint8Array, offset: number, length: number): 'object' | 'fdt' | DatagramCode {
  if (length < HEADER_BYTES + SYMBOL_BYTES_MIN) return 'too-short';
  if (length > HEADER_BYTES + SYMBOL_BYTES_MAX) return 'too-long';
  if (u8(bytes, offset) >>> 4 !== LCT_BYTE_0 >>> 4) return 'not-lct-1';
  if ((length - HEADER_BYTES) % SYMBOL_BYTES_STEP !== 0) return 'bad-length';
  if (u8(bytes, offset) !== LCT_BYTE_0 || u8(bytes, offset + 1) !== LCT_BYTE_1) return 'bad-header';
  if (u8(bytes, offset + 3) !== CODEPOINT || u32(bytes, offset + CCI_OFFSET) !== 0) return 'bad-header';
  const isFdt = u32(bytes, offset + TOI_OFFSET) === 0;
  if (u8(bytes, offset + 2) !== (isFdt ? HDR_LEN_FDT : HDR_LEN_OBJECT)) return 'bad-header';
  if (u16(bytes, offset + AUTH_OFFSET) !== AUTH_WORD) return 'bad-extension';
  if ((u8(bytes, offset + ASID_OFFSET) & 0x0f) !== 1) return 'bad-extension';
  if (u40(bytes, offset + SN_OFFSET) === 0) return 'bad-extension';
  if (isFdt) {
    if (u16(bytes, offset + EXT_FDT_OFFSET) >>> 4 !== FDT_WORD) return 'bad-extension';
    if (u16(bytes, offset + EXT_FTI_OFFSET) !== FTI_WORD) return 'bad-extension';
    if (u32(bytes, offset + EXT_TIME_OFFSET) !== TIME_WORD) return 'bad-extension';
  }
  if (u8(bytes, offset + TSI_OFFSET) >>> 6 === RESERVED_CLASS) return 'unknown-class';
  if (u8(bytes, offset + (isFdt ? FDT_ESI_OFFSET : ESI_OFFSET)) >= MAX_SYMBOLS) return 'bad-esi';
  return isFdt ? 'fdt' : 'object';
}

export const readTsi = (bytes: Uint8Array, offset: number): number => u32(bytes, offset + TSI_OFFSET);
/** 0 for an FDT Instance. */
export const readToi = (bytes: Uint8Array, offset: number): number => u32(bytes, offset + TOI_OFFSET);
export const readAsid = (bytes: Uint8Array, offset: number): number => u8(bytes, offset + ASID_OFFSET) >>> 4;
export const readSn = (bytes: Uint8Array, offset: number): number => u40(bytes, offset + SN_OFFSET);
/** Of an object's datagram; for an FDT Instance use readFdtHeader. */
export const readSbn = (bytes: Uint8Array, offset: number): number => u24(bytes, offset + SBN_OFFSET);
/** Of an object's datagram; for an FDT Instance use readFdtHeader. */
export const readEsi = (bytes: Uint8Array, offset: number): number => u8(bytes, offset + ESI_OFFSET);

/** What an FDT Instance's datagram says beyond the common header. Its symbol lies at FDT_HEADER_BYTES. */
export interface FdtHeader {
  readonly instanceId: number;
  /** Bytes of the FDT Instance, 1 to 64 KiB. */
  readonly transferLength: number;
  /** Bytes of one of its symbols: the session's E - 24. */
  readonly symbolBytes: number;
  /** B of the FDT Instance. */
  readonly maxBlock: number;
  /** Sender current time, NTP seconds modulo 2^32. */
  readonly ntpSeconds: number;
  readonly sbn: number;
  readonly esi: number;
}

/** Reads the rest of a datagram that `classify` called `fdt`. Call it only once the tag holds. */
export function readFdtHeader(bytes: Uint8Array, offset: number, length: number): FdtHeader | DatagramCode {
  const instanceId = u24(bytes, offset + EXT_FDT_OFFSET + 1) & 0xfffff;
  const transferLength = u48(bytes, offset + EXT_FTI_OFFSET + 2);
  const symbolBytes = u16(bytes, offset + EXT_FTI_OFFSET + 8);
  const maxBlock = u8(bytes, offset + EXT_FTI_OFFSET + 10);
  if (instanceId === 0) return 'bad-extension';
  if (u8(bytes, offset + EXT_FTI_OFFSET + 11) !== MAX_SYMBOLS) return 'bad-fti';
  if (symbolBytes !== length - FDT_HEADER_BYTES) return 'bad-fti';
  if (maxBlock < 1 || maxBlock > MAX_BLOCK_MAX || transferLength < 1) return 'bad-fti';
  if (transferLength > FDT_BYTES_MAX) return 'fdt-too-large';
  const sbn = u24(bytes, offset + FDT_SBN_OFFSET);
  if (sbn >= Math.ceil(Math.ceil(transferLength / symbolBytes) / maxBlock)) return 'bad-sbn';
  const ntpSeconds = u32(bytes, offset + NTP_OFFSET);
  const esi = u8(bytes, offset + FDT_ESI_OFFSET);
  return { instanceId, transferLength, symbolBytes, maxBlock, ntpSeconds, sbn, esi };
}
