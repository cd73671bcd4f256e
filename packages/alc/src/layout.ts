// Byte offsets and fixed values of the two datagram forms (docs/PROTOCOL.md section 1). No other file spells an offset.

/** Bytes before the symbol: of an object's datagram, and of an FDT Instance's. */
export const HEADER_BYTES = 44;
export const FDT_HEADER_BYTES = 68;
/** How much shorter a symbol of an FDT Instance is than one of an object, so that all datagrams have one length (L-6). */
export const FDT_SYMBOL_LESS = FDT_HEADER_BYTES - HEADER_BYTES;

/** LCT header, RFC 5651 section 5.1. */
export const CCI_OFFSET = 4;
export const TSI_OFFSET = 8;
export const TOI_OFFSET = 12;
/** V = 1, C = 0, PSI = 0. */
export const LCT_BYTE_0 = 0x10;
/** S = 1 and O = 1 (TSI and TOI of 32 bits), H = 0, reserved 0, A = 0, B = 0. */
export const LCT_BYTE_1 = 0xa0;
/** HDR_LEN in 32-bit words. The FEC Payload ID lies behind the LCT header and does not count. */
export const HDR_LEN_OBJECT = 10;
export const HDR_LEN_FDT = 16;
/** FEC Encoding ID 5, carried in the codepoint (RFC 6726 section 5). */
export const CODEPOINT = 5;

/** EXT_AUTH, group MAC: RFC 6584 section 5.1. */
export const AUTH_OFFSET = 16;
export const ASID_OFFSET = 18;
export const SN_OFFSET = 19;
export const TAG_OFFSET = 24;
export const HET_AUTH = 1;
export const HEL_AUTH = 6;

/** FEC Payload ID of an object's datagram: RFC 5510 section 5.1. */
export const SBN_OFFSET = 40;
export const ESI_OFFSET = 43;

/** EXT_FDT: RFC 6726 section 3.4.1. FLUTE version 2. */
export const EXT_FDT_OFFSET = 40;
export const HET_FDT = 192;
export const FLUTE_VERSION = 2;
/** EXT_FTI: RFC 5775 section 4.2, in the form of RFC 5510 section 5.2.4.1. */
export const EXT_FTI_OFFSET = 44;
export const HET_FTI = 64;
export const HEL_FTI = 3;
/** EXT_TIME with SCT-High only: RFC 5651 section 5.2.2. */
export const EXT_TIME_OFFSET = 56;
export const HET_TIME = 2;
export const HEL_TIME = 2;
export const SCT_HIGH_ONLY = 0x8000;
export const NTP_OFFSET = 60;
export const FDT_SBN_OFFSET = 64;
export const FDT_ESI_OFFSET = 67;
