// Writes the fixed headers of docs/PROTOCOL.md section 1 into a caller's buffer: no allocation, so it can run per datagram.
import { putU16, putU24, putU32, putU40, putU48 } from './bytes.ts';
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
  FDT_SBN_OFFSET,
  FLUTE_VERSION,
  HDR_LEN_FDT,
  HDR_LEN_OBJECT,
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
import { ASID_MAX, BLOCKS_MAX, FDT_BYTES_MAX, FDT_INSTANCE_ID_MAX, MAX_BLOCK_MAX, MAX_SYMBOLS } from './limits.ts';
import { SN_MAX, TOI_MAX, TSI_MAX } from './limits.ts';

/** What all datagrams carry besides the TOI. Keep one object and change it: the writers do not hold on to it. */
export interface DatagramFields {
  tsi: number;
  /** Which key, 0 to 15. */
  asid: number;
  /** 1 to 2^40 - 1. */
  sn: number;
  sbn: number;
  /** 0 to 254. */
  esi: number;
}

export interface ObjectFields extends DatagramFields {
  /** 1 to 2^32 - 1. */
  toi: number;
}

export interface FdtFields extends DatagramFields {
  /** 1 to 2^20 - 1. */
  instanceId: number;
  /** Bytes of the FDT Instance, 1 to 64 KiB. */
  transferLength: number;
  /** Bytes of one symbol of the FDT Instance: the session's E - 24. */
  symbolBytes: number;
  /** B of the FDT Instance. */
  maxBlock: number;
  /** Sender current time, NTP seconds modulo 2^32. */
  ntpSeconds: number;
}

function within(name: string, value: number, least: number, most: number): void {
  if (!(value >= least && value <= most)) throw new Error(`${name} ${value} is not within ${least} and ${most}`);
}

/** Writes the sequence number of the datagram at `offset` (either form). */
export function setSn(into: Uint8Array, offset: number, sn: number): void {
  within('sn', sn, 1, SN_MAX);
  putU40(into, offset + SN_OFFSET, sn);
}

/** Writes the session of the datagram at `offset` (either form). */
export function setTsi(into: Uint8Array, offset: number, tsi: number): void {
  within('tsi', tsi, 1, TSI_MAX);
  putU32(into, offset + TSI_OFFSET, tsi);
}

function writeCommon(into: Uint8Array, offset: number, fields: DatagramFields, hdrLen: number): void {
  within('tsi', fields.tsi, 1, TSI_MAX);
  within('asid', fields.asid, 0, ASID_MAX);
  within('sbn', fields.sbn, 0, BLOCKS_MAX - 1);
  within('esi', fields.esi, 0, MAX_SYMBOLS - 1);
  into[offset] = LCT_BYTE_0;
  into[offset + 1] = LCT_BYTE_1;
  into[offset + 2] = hdrLen;
  into[offset + 3] = CODEPOINT;
  putU32(into, offset + CCI_OFFSET, 0);
  putU32(into, offset + TSI_OFFSET, fields.tsi);
  into[offset + AUTH_OFFSET] = HET_AUTH;
  into[offset + AUTH_OFFSET + 1] = HEL_AUTH;
  into[offset + ASID_OFFSET] = (fields.asid << 4) | 1;
  setSn(into, offset, fields.sn);
}

/** Writes the 44 bytes before the symbol of an object's datagram, all but the tag, which the authenticator writes. */
export function writeObjectHeader(into: Uint8Array, offset: number, fields: ObjectFields): void {
  within('toi', fields.toi, 1, TOI_MAX);
  writeCommon(into, offset, fields, HDR_LEN_OBJECT);
  putU32(into, offset + TOI_OFFSET, fields.toi);
  putU24(into, offset + SBN_OFFSET, fields.sbn);
  into[offset + ESI_OFFSET] = fields.esi;
}

/** Writes the 68 bytes before the symbol of an FDT Instance's datagram, all but the tag. */
export function writeFdtHeader(into: Uint8Array, offset: number, fields: FdtFields): void {
  within('instanceId', fields.instanceId, 1, FDT_INSTANCE_ID_MAX);
  within('transferLength', fields.transferLength, 1, FDT_BYTES_MAX);
  within('maxBlock', fields.maxBlock, 1, MAX_BLOCK_MAX);
  writeCommon(into, offset, fields, HDR_LEN_FDT);
  putU32(into, offset + TOI_OFFSET, 0);
  putU32(into, offset + EXT_FDT_OFFSET, ((HET_FDT << 24) | (FLUTE_VERSION << 20) | fields.instanceId) >>> 0);
  into[offset + EXT_FTI_OFFSET] = HET_FTI;
  into[offset + EXT_FTI_OFFSET + 1] = HEL_FTI;
  putU48(into, offset + EXT_FTI_OFFSET + 2, fields.transferLength);
  putU16(into, offset + EXT_FTI_OFFSET + 8, fields.symbolBytes);
  into[offset + EXT_FTI_OFFSET + 10] = fields.maxBlock;
  into[offset + EXT_FTI_OFFSET + 11] = MAX_SYMBOLS;
  into[offset + EXT_TIME_OFFSET] = HET_TIME;
  into[offset + EXT_TIME_OFFSET + 1] = HEL_TIME;
  putU16(into, offset + EXT_TIME_OFFSET + 2, SCT_HIGH_ONLY);
  putU32(into, offset + NTP_OFFSET, fields.ntpSeconds);
  putU24(into, offset + FDT_SBN_OFFSET, fields.sbn);
  into[offset + FDT_ESI_OFFSET] = fields.esi;
}
