import { ok, refuse } from '@sluice/ports';
import type { Result } from '@sluice/ports';
import { decodeUtf8 } from './tar.ts';

/** JSON that others wrote: unknown keys are theirs to use. The caller bounds the size. */
export function parseForeignJson(bytes: Uint8Array): Result<unknown> {
  const text = decodeUtf8(bytes);
  if (text === undefined) return refuse('json-malformed', 'The document is not UTF-8.');
  try {
    const value: unknown = JSON.parse(text);
    return ok(value);
  } catch {
    return refuse('json-malformed', 'The document is not JSON.');
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
