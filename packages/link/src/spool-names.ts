import { type ContentType, fitsBlocks, isSymbolBytes, MAX_BLOCK_MAX, OBJECT_BYTES_MAX } from '@sluice/alc';
import type { Digest } from '@sluice/ports';

/** What an object is, as the end of its file name tells it. */
const KINDS: Readonly<Record<ContentType, string>> = {
  'application/vnd.dsse.envelope.v1+json': 'statement',
  'application/x-tar': 'pack',
  'application/octet-stream': 'blob',
  'application/vnd.sluice.heartbeat+json': 'heartbeat',
};

/**
 * Files of one object in its channel's directory: `KEY.KIND.STATE`, KEY = HEX-SIZE-E-B.
 * `part` bytes at their offsets, `map` one bit a block that is synced, `whole` all there and synced, `done` taken: empty.
 */
export type SpoolState = 'part' | 'map' | 'whole' | 'done';

export interface SpoolName {
  readonly key: string;
  readonly digest: Digest;
  readonly size: number;
  readonly symbolBytes: number;
  readonly maxBlock: number;
  readonly contentType: ContentType;
  readonly state: SpoolState;
}

const NAME =
  /^([0-9a-f]{64})-([1-9]\d{0,12})-([1-9]\d{0,3})-([1-9]\d{0,2})\.(statement|pack|blob)\.(part|map|whole|done)$/;

export const fileName = (key: string, contentType: ContentType, state: SpoolState): string =>
  `${key}.${KINDS[contentType]}.${state}`;

/** What a file name in the spool says, or undefined when it is none of ours: no object that we take has it. */
export function parseFileName(name: string): SpoolName | undefined {
  const [, hex, length, symbol, block, kind, state] = NAME.exec(name) ?? [];
  const contentType = (Object.keys(KINDS) as ContentType[]).find((type) => KINDS[type] === kind);
  if (hex === undefined || contentType === undefined || state === undefined) return undefined;
  const [size, symbolBytes, maxBlock] = [Number(length), Number(symbol), Number(block)];
  if (size > OBJECT_BYTES_MAX || !isSymbolBytes(symbolBytes) || maxBlock > MAX_BLOCK_MAX) return undefined;
  if (!fitsBlocks(size, symbolBytes, maxBlock)) return undefined;
  const key = `${hex}-${String(size)}-${String(symbolBytes)}-${String(maxBlock)}`;
  return { key, digest: `sha256:${hex}`, size, symbolBytes, maxBlock, contentType, state: state as SpoolState };
}
