import { type ConfigCode, OperationalError } from '@sluice/ports';

/** None of these is worth a retry. */
export const configError = (code: ConfigCode, sentence: string, cause?: unknown): OperationalError =>
  new OperationalError(code, sentence, { retryable: false, cause });

/** Where a value stands: the file, the key path within it, and what paths are relative to. */
export interface Place {
  readonly file: string;
  /** As in `channels[0].key`; empty for the whole document. */
  readonly key: string;
  /** Relative paths in the file are taken from here. */
  readonly directory: string;
  /** systemd's CREDENTIALS_DIRECTORY, undefined when there is none. */
  readonly credentials: string | undefined;
}

export const within = (at: Place, key: string): Place => ({
  ...at,
  key: key.startsWith('[') || at.key === '' ? at.key + key : `${at.key}.${key}`,
});

/** The one-sentence refusal: file, key path, what is wrong, what to do. */
export function refuseAt(at: Place, what: string, code: ConfigCode = 'config-invalid'): never {
  throw configError(code, `${at.file}: ${at.key === '' ? 'the document' : at.key} ${what}`);
}

/** A value as shown in an error: short, in one line. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 60)}...`;
}
