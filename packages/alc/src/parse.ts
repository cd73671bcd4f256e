// The general parser, for diagnosis and replay: any LCT header with its extensions (RFC 5651), strict about every length.
// It derives the form of a datagram on its own, so that tests can hold the fast path (classify.ts) against it.
import { type DatagramCode, type Result, TAG_BYTES, ok } from '@sluice/ports';
import { u16, u24, u32, u40, u48, u8 } from './bytes.ts';
import {
  CODEPOINT,
  FDT_SYMBOL_LESS,
  FLUTE_VERSION,
  HET_AUTH,
  HET_FDT,
  HET_FTI,
  HET_TIME,
  SCT_HIGH_ONLY,
} from './layout.ts';
import { MAX_SYMBOLS, isSymbolBytes } from './limits.ts';
import { tsiClass } from './tsi.ts';

/** A header extension: its type, where it starts in the datagram, and its bytes behind HET and HEL. */
export interface LctExtension {
  readonly type: number;
  readonly offset: number;
  readonly content: Uint8Array;
}

/** EXT_AUTH, group MAC (RFC 6584 section 5.1). Without anti-replay `sn` is the 8-bit field. */
export interface GroupMac {
  readonly asid: number;
  readonly reserved: number;
  readonly antiReplay: boolean;
  readonly sn: number;
  readonly mac: Uint8Array;
}

/** EXT_FTI of FEC Encoding ID 5 (RFC 5510 section 5.2.4.1). */
export interface FecTransmissionInformation {
  readonly transferLength: number;
  readonly symbolBytes: number;
  readonly maxBlock: number;
  readonly maxSymbols: number;
}

/** EXT_TIME (RFC 5651 section 5.2.2): the Use field, and its 32-bit values in order. */
export interface LctTime {
  readonly use: number;
  readonly values: readonly number[];
}

export interface AlcDatagram {
  /** The profile's form that it has, or `foreign` for another LCT packet; `classify` names the reason. */
  readonly form: 'object' | 'fdt' | 'foreign';
  readonly psi: number;
  readonly reserved: number;
  readonly closeSession: boolean;
  readonly closeObject: boolean;
  readonly headerBytes: number;
  readonly codepoint: number;
  readonly cci: Uint8Array;
  /** Undefined when the header has none. */
  readonly tsi: bigint | undefined;
  readonly toi: bigint | undefined;
  readonly extensions: readonly LctExtension[];
  readonly auth: GroupMac | undefined;
  readonly fdt: { readonly version: number; readonly instanceId: number } | undefined;
  readonly fti: FecTransmissionInformation | undefined;
  readonly time: LctTime | undefined;
  /** FEC Payload ID and symbol; undefined when nothing follows the header or the codepoint is not 5. */
  readonly payload: { readonly sbn: number; readonly esi: number; readonly symbol: Uint8Array } | undefined;
}

const WORD = 4;
const HET_FIXED = 128;
/** The four LCT flags of the Use field; each has one value behind it. */
const TIME_FLAGS = [0x8000, 0x4000, 0x2000, 0x1000];

const failed = (error: DatagramCode): Result<never, DatagramCode> => ({ ok: false, error });

function integer(bytes: Uint8Array): bigint | undefined {
  if (bytes.length === 0) return undefined;
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

function walk(bytes: Uint8Array, from: number, to: number): LctExtension[] | undefined {
  const extensions: LctExtension[] = [];
  for (let offset = from; offset < to;) {
    const type = u8(bytes, offset);
    const size = type >= HET_FIXED ? WORD : u8(bytes, offset + 1) * WORD;
    if (size === 0 || offset + size > to) return undefined;
    const content = bytes.subarray(offset + (type >= HET_FIXED ? 1 : 2), offset + size);
    extensions.push({ type, offset, content });
    offset += size;
  }
  return extensions;
}

/** The decoders below get the content of an extension, undefined when it is absent; `null` says that it is malformed. */
function groupMac(content: Uint8Array | undefined): GroupMac | undefined | null {
  if (content === undefined) return undefined;
  const head = u8(content, 0);
  const antiReplay = (head & 1) === 1;
  const macOffset = antiReplay ? 6 : 2;
  if (content.length < macOffset) return null;
  const sn = antiReplay ? u40(content, 1) : u8(content, 1);
  return { asid: head >>> 4, reserved: (head >>> 1) & 7, antiReplay, sn, mac: content.subarray(macOffset) };
}

function transmissionInformation(content: Uint8Array | undefined): FecTransmissionInformation | undefined | null {
  if (content === undefined) return undefined;
  if (content.length !== 10) return null;
  return {
    transferLength: u48(content, 0),
    symbolBytes: u16(content, 6),
    maxBlock: u8(content, 8),
    maxSymbols: u8(content, 9),
  };
}

function lctTime(content: Uint8Array | undefined): LctTime | undefined | null {
  if (content === undefined) return undefined;
  const use = u16(content, 0);
  const values: number[] = [];
  for (let at = 2; at < content.length; at += WORD) values.push(u32(content, at));
  return values.length < TIME_FLAGS.filter((flag) => (use & flag) !== 0).length ? null : { use, values };
}

function commonFormHolds(datagram: Omit<AlcDatagram, 'form'>, widths: { tsi: number; toi: number }): boolean {
  const { auth, cci, tsi } = datagram;
  if (datagram.psi !== 0 || datagram.reserved !== 0 || datagram.closeSession || datagram.closeObject) return false;
  if (cci.length !== WORD || cci.some((byte) => byte !== 0)) return false;
  if (widths.tsi !== WORD || widths.toi !== WORD || tsi === undefined || tsiClass(Number(tsi)) === undefined)
    return false;
  if (auth?.reserved !== 0 || !auth.antiReplay || auth.sn === 0 || auth.mac.length !== TAG_BYTES) return false;
  return datagram.payload !== undefined && datagram.payload.esi < MAX_SYMBOLS;
}

function formOf(datagram: Omit<AlcDatagram, 'form'>, widths: { tsi: number; toi: number }): AlcDatagram['form'] {
  if (!commonFormHolds(datagram, widths)) return 'foreign';
  const symbolBytes = datagram.payload?.symbol.length ?? 0;
  const types = datagram.extensions.map((extension) => extension.type).join(' ');
  if (datagram.toi !== 0n) return types === `${HET_AUTH}` && isSymbolBytes(symbolBytes) ? 'object' : 'foreign';
  if (types !== `${HET_AUTH} ${HET_FDT} ${HET_FTI} ${HET_TIME}`) return 'foreign';
  if (datagram.fdt?.version !== FLUTE_VERSION || !isSymbolBytes(symbolBytes + FDT_SYMBOL_LESS)) return 'foreign';
  return datagram.time?.use === SCT_HIGH_ONLY && datagram.time.values.length === 1 ? 'fdt' : 'foreign';
}

/**
 * Reads one datagram (a UDP payload). Refuses what is not well-formed LCT version 1 (`too-short`, `not-lct-1`,
 * `bad-header`, `bad-extension`). Views into `bytes` are returned, not copies. Total on any input.
 */
export function parseAlc(bytes: Uint8Array): Result<AlcDatagram, DatagramCode> {
  if (bytes.length < WORD) return failed('too-short');
  const [byte0, byte1] = [u8(bytes, 0), u8(bytes, 1)];
  if (byte0 >>> 4 !== 1) return failed('not-lct-1');
  const half = ((byte1 >>> 4) & 1) * 2;
  const widths = { tsi: (byte1 >>> 7) * WORD + half, toi: ((byte1 >>> 5) & 3) * WORD + half };
  const tsiOffset = WORD + (((byte0 >>> 2) & 3) + 1) * WORD;
  const toiOffset = tsiOffset + widths.tsi;
  const extensionsOffset = toiOffset + widths.toi;
  const headerBytes = u8(bytes, 2) * WORD;
  if (headerBytes < extensionsOffset) return failed('bad-header');
  if (headerBytes > bytes.length) return failed('too-short');
  const extensions = walk(bytes, extensionsOffset, headerBytes);
  if (extensions === undefined) return failed('bad-extension');
  const contentOf = (type: number): Uint8Array | undefined =>
    extensions.find((extension) => extension.type === type)?.content;
  const codepoint = u8(bytes, 3);
  const isRs8 = codepoint === CODEPOINT;
  const auth = groupMac(contentOf(HET_AUTH));
  const fti = isRs8 ? transmissionInformation(contentOf(HET_FTI)) : undefined;
  const time = lctTime(contentOf(HET_TIME));
  if (auth === null || fti === null || time === null) return failed('bad-extension');
  const fdtContent = contentOf(HET_FDT);
  const fdtWord = fdtContent === undefined ? 0 : u24(fdtContent, 0);
  const hasPayload = isRs8 && bytes.length > headerBytes;
  if (hasPayload && bytes.length < headerBytes + WORD) return failed('too-short');
  const datagram = {
    psi: byte0 & 3,
    reserved: (byte1 >>> 2) & 3,
    closeSession: (byte1 & 2) !== 0,
    closeObject: (byte1 & 1) !== 0,
    headerBytes,
    codepoint,
    cci: bytes.subarray(WORD, tsiOffset),
    tsi: integer(bytes.subarray(tsiOffset, toiOffset)),
    toi: integer(bytes.subarray(toiOffset, extensionsOffset)),
    extensions,
    auth,
    fdt: fdtContent === undefined ? undefined : { version: fdtWord >>> 20, instanceId: fdtWord & 0xfffff },
    fti,
    time,
    payload: hasPayload
      ? {
          sbn: u24(bytes, headerBytes),
          esi: u8(bytes, headerBytes + 3),
          symbol: bytes.subarray(headerBytes + WORD),
        }
      : undefined,
  };
  return ok({ form: formOf(datagram, widths), ...datagram });
}
