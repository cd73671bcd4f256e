import type { ContentType } from '@sluice/alc';
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

const NAME = /^([0-9a-f]{64})-(\d{1,13})-(\d{1,4})-(\d{1,3})\.(statement|pack|blob)\.(part|map|whole|done)$/;

export const fileName = (key: string, contentType: ContentType, state: SpoolState): string =>
  `${key}.${KINDS[contentType]}.${state}`;

/** What a file name in the spool says, or undefined when it is none of ours. */
export function parseFileName(name: string): SpoolName | undefined {
  const [, hex, size, symbolBytes, maxBlock, kind, state] = NAME.exec(name) ?? [];
  if (hex === undefined || kind === undefined || state === undefined) return undefined;
  const contentType = (Object.keys(KINDS) as ContentType[]).find((type) => KINDS[type] === kind);
  if (contentType === undefined) return undefined;
  return {
    key: `${hex}-${size ?? ''}-${symbolBytes ?? ''}-${maxBlock ?? ''}`,
    digest: `sha256:${hex}`,
    size: Number(size),
    symbolBytes: Number(symbolBytes),
    maxBlock: Number(maxBlock),
    contentType,
    state: state as SpoolState,
  };
}
