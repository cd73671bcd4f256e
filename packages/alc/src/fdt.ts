// FDT Instances as XML (RFC 6726 section 3.4.2, in the profile of docs/PROTOCOL.md section 4): the model and its one spelling.
import type { Digest } from '@sluice/ports';
import { niFromDigest } from './ni.ts';
import {
  FDT_BYTES_MAX,
  FDT_FILES_MAX,
  MAX_BLOCK_MAX,
  MAX_SYMBOLS,
  OBJECT_BYTES_MAX,
  TOI_MAX,
  fitsBlocks,
  isSymbolBytes,
} from './limits.ts';
import { CODEPOINT } from './layout.ts';

/** What an object holds (O-2). */
export const CONTENT_TYPES = [
  'application/vnd.dsse.envelope.v1+json',
  'application/x-tar',
  'application/octet-stream',
  'application/vnd.sluice.heartbeat+json',
] as const;
export type ContentType = (typeof CONTENT_TYPES)[number];

/** One object of the session. `length` is Content-Length and Transfer-Length, 1 to 2^40 bytes (O-7). */
export interface FdtFile {
  readonly toi: number;
  readonly digest: Digest;
  readonly length: number;
  readonly contentType: ContentType;
}

/** One FDT Instance: FEC parameters of its objects, and the objects. */
export interface Fdt {
  /** NTP seconds modulo 2^32 (O-6). */
  readonly expires: number;
  /** B, at most 250. */
  readonly maxBlock: number;
  /** E: bytes of a symbol of the objects (not of the FDT Instance itself). */
  readonly symbolBytes: number;
  /** max_n, always 255. */
  readonly maxSymbols: number;
  readonly files: readonly FdtFile[];
}

export type FdtParameters = Omit<Fdt, 'files'>;

/** Bounds on one FDT Instance. */
export interface FdtLimits {
  readonly bytes: number;
  readonly files: number;
}
export const FDT_LIMITS: FdtLimits = { bytes: FDT_BYTES_MAX, files: FDT_FILES_MAX };

export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>';
export const FDT_NAMESPACE = 'urn:ietf:params:xml:ns:fdt';
const FOOT = '</FDT-Instance>\n';

function head(fdt: FdtParameters): string {
  return (
    `${XML_DECLARATION}\n<FDT-Instance xmlns="${FDT_NAMESPACE}" Expires="${fdt.expires}"` +
    ` FEC-OTI-FEC-Encoding-ID="${CODEPOINT}" FEC-OTI-Maximum-Source-Block-Length="${fdt.maxBlock}"` +
    ` FEC-OTI-Encoding-Symbol-Length="${fdt.symbolBytes}" FEC-OTI-Max-Number-of-Encoding-Symbols="${fdt.maxSymbols}">\n`
  );
}

// No value can hold a character that XML escapes: numbers, an ni URI and one of four media types.
const line = (file: FdtFile): string =>
  `<File TOI="${file.toi}" Content-Location="${niFromDigest(file.digest)}" Content-Length="${file.length}"` +
  ` Transfer-Length="${file.length}" Content-Type="${file.contentType}"/>\n`;

function checkParameters(fdt: FdtParameters): void {
  const { expires, maxBlock, symbolBytes, maxSymbols } = fdt;
  if (!Number.isInteger(expires) || expires !== expires >>> 0) throw new Error(`FDT Expires ${expires} is not 32-bit`);
  if (!Number.isInteger(maxBlock) || maxBlock < 1 || maxBlock > MAX_BLOCK_MAX) throw new Error(`FDT B is ${maxBlock}`);
  if (!isSymbolBytes(symbolBytes) || maxSymbols !== MAX_SYMBOLS) {
    throw new Error(`FDT with E ${symbolBytes} and max_n ${maxSymbols}`);
  }
}

function checkFile(file: FdtFile, fdt: FdtParameters): void {
  const { toi, length } = file;
  if (!Number.isInteger(toi) || toi < 1 || toi > TOI_MAX) throw new Error(`FDT file with TOI ${toi}`);
  const sized = Number.isInteger(length) && length >= 1 && length <= OBJECT_BYTES_MAX;
  if (!sized || !fitsBlocks(length, fdt.symbolBytes, fdt.maxBlock)) throw new Error(`FDT file of ${length} bytes`);
}

/** ASCII text as bytes. */
function ascii(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** The document, the same bytes for the same FDT. The caller keeps both limits (see `splitFdt`); breaking one is a bug. */
export function encodeFdt(fdt: Fdt): Uint8Array {
  checkParameters(fdt);
  let text = head(fdt);
  for (const file of fdt.files) {
    checkFile(file, fdt);
    text += line(file);
  }
  text += FOOT;
  if (fdt.files.length < 1 || fdt.files.length > FDT_FILES_MAX || text.length > FDT_BYTES_MAX) {
    throw new Error(`FDT Instance of ${fdt.files.length} files and ${text.length} bytes`);
  }
  return ascii(text);
}

/** Splits a list of files, in order, into as few FDT Instances as keep both limits. */
export function splitFdt(parameters: FdtParameters, files: readonly FdtFile[], limits: FdtLimits = FDT_LIMITS): Fdt[] {
  const room = limits.bytes - head(parameters).length - FOOT.length;
  const instances: Fdt[] = [];
  let taken: FdtFile[] = [];
  let bytes = 0;
  for (const file of files) {
    const more = line(file).length;
    if (taken.length > 0 && (taken.length === limits.files || bytes + more > room)) {
      instances.push({ ...parameters, files: taken });
      taken = [];
      bytes = 0;
    }
    taken.push(file);
    bytes += more;
  }
  if (taken.length > 0) instances.push({ ...parameters, files: taken });
  return instances;
}
