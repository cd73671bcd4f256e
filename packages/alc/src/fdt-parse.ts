// Strict reader of FDT Instances (docs/PROTOCOL.md O-5): total, linear in its bounded input, nothing unknown accepted.
import { type DatagramCode, type Result, ok } from '@sluice/ports';
import { CONTENT_TYPES, FDT_LIMITS, FDT_NAMESPACE, XML_DECLARATION } from './fdt.ts';
import type { Fdt, FdtFile, FdtLimits, FdtParameters } from './fdt.ts';
import { CODEPOINT } from './layout.ts';
import { MAX_BLOCK_MAX, MAX_SYMBOLS, OBJECT_BYTES_MAX, TOI_MAX, fitsBlocks, isSymbolBytes } from './limits.ts';
import { digestFromNi } from './ni.ts';
import { type Attributes, XmlCursor } from './xml.ts';

const INSTANCE_ATTRIBUTES = [
  'xmlns',
  'Expires',
  'FEC-OTI-FEC-Encoding-ID',
  'FEC-OTI-Maximum-Source-Block-Length',
  'FEC-OTI-Encoding-Symbol-Length',
  'FEC-OTI-Max-Number-of-Encoding-Symbols',
];
const FILE_ATTRIBUTES = ['TOI', 'Content-Location', 'Content-Length', 'Transfer-Length', 'Content-Type'];
const EXPIRES_MAX = 2 ** 32 - 1;
/** No sign, no leading zero, at most 15 digits: always a safe integer. */
const DECIMAL = /^(?:0|[1-9][0-9]{0,14})$/;

const failed = (error: DatagramCode): Result<never, DatagramCode> => ({ ok: false, error });

/** A decimal attribute, or NaN, which no range check accepts. */
function decimal(attributes: Attributes, name: string): number {
  const text = attributes.get(name) ?? '';
  return DECIMAL.test(text) ? Number(text) : Number.NaN;
}

const isExactly = (attributes: Attributes, names: readonly string[]): boolean =>
  attributes.size === names.length && names.every((name) => attributes.has(name));

function instance(attributes: Attributes): Result<FdtParameters, DatagramCode> {
  if (!isExactly(attributes, INSTANCE_ATTRIBUTES)) return failed('fdt-malformed');
  if (attributes.get('xmlns') !== FDT_NAMESPACE) return failed('fdt-malformed');
  const expires = decimal(attributes, 'Expires');
  if (!(expires <= EXPIRES_MAX)) return failed('fdt-malformed');
  const maxBlock = decimal(attributes, 'FEC-OTI-Maximum-Source-Block-Length');
  const symbolBytes = decimal(attributes, 'FEC-OTI-Encoding-Symbol-Length');
  const maxSymbols = decimal(attributes, 'FEC-OTI-Max-Number-of-Encoding-Symbols');
  if (decimal(attributes, 'FEC-OTI-FEC-Encoding-ID') !== CODEPOINT) return failed('bad-fti');
  if (!(maxBlock >= 1 && maxBlock <= MAX_BLOCK_MAX)) return failed('bad-fti');
  if (!isSymbolBytes(symbolBytes) || maxSymbols !== MAX_SYMBOLS) return failed('bad-fti');
  return ok({ expires, maxBlock, symbolBytes, maxSymbols });
}

function entry(attributes: Attributes, parameters: FdtParameters): Result<FdtFile, DatagramCode> {
  if (!isExactly(attributes, FILE_ATTRIBUTES)) return failed('fdt-malformed');
  const toi = decimal(attributes, 'TOI');
  const digest = digestFromNi(attributes.get('Content-Location') ?? '');
  const length = decimal(attributes, 'Content-Length');
  const contentType = CONTENT_TYPES.find((type) => type === attributes.get('Content-Type'));
  if (!(toi >= 1 && toi <= TOI_MAX) || digest === undefined || contentType === undefined)
    return failed('fdt-malformed');
  if (!(length >= 1) || decimal(attributes, 'Transfer-Length') !== length) return failed('fdt-malformed');
  if (length > OBJECT_BYTES_MAX) return failed('object-too-large');
  if (!fitsBlocks(length, parameters.symbolBytes, parameters.maxBlock)) return failed('object-too-large');
  return ok({ toi, digest, length, contentType });
}

/**
 * Parses an FDT Instance. Refuses with `fdt-too-large`, `fdt-too-many-files`, `fdt-malformed`, `bad-fti`
 * (FEC parameters outside the profile) or `object-too-large`. Expiry is the caller's to judge (`isExpired`).
 */
export function parseFdt(bytes: Uint8Array, limits: FdtLimits = FDT_LIMITS): Result<Fdt, DatagramCode> {
  if (bytes.length > limits.bytes) return failed('fdt-too-large');
  const xml = new XmlCursor(bytes);
  if (!xml.literal(XML_DECLARATION)) return failed('fdt-malformed');
  xml.space();
  const attributes = xml.open('FDT-Instance') ? xml.attributes() : undefined;
  if (attributes === undefined || !xml.literal('>')) return failed('fdt-malformed');
  const parameters = instance(attributes);
  if (!parameters.ok) return parameters;
  const files: FdtFile[] = [];
  const tois = new Set<number>();
  for (;;) {
    xml.space();
    if (!xml.open('File')) break;
    if (files.length === limits.files) return failed('fdt-too-many-files');
    const found = xml.attributes();
    if (found === undefined || !xml.literal('/>')) return failed('fdt-malformed');
    const file = entry(found, parameters.value);
    if (!file.ok) return file;
    if (tois.has(file.value.toi)) return failed('fdt-malformed');
    tois.add(file.value.toi);
    files.push(file.value);
  }
  if (files.length === 0 || !xml.literal('</FDT-Instance>')) return failed('fdt-malformed');
  xml.space();
  return xml.atEnd() ? ok({ ...parameters.value, files }) : failed('fdt-malformed');
}
