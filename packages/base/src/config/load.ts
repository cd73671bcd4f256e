import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Digest } from '@sluice/ports';
import { duplicateKey } from './duplicates.ts';
import { configError, type Place } from './place.ts';
import type { Schema } from './schema.ts';
import { Secret } from './secret.ts';

/** Largest configuration file. */
export const CONFIG_BYTES_MAX = 1024 * 1024;

/**
 * Reads a JSON file and gives it the schema's type, defaults filled in.
 * @throws OperationalError `config-unreadable`, `config-malformed`, `config-invalid` or `secret-file`; the message is one
 * sentence that names the file, the key and the fix, and is meant to be printed as it is.
 */
export function loadConfig<T>(file: string, schema: Schema<T>, env: NodeJS.ProcessEnv = process.env): T {
  return parseConfig(readText(file), schema, { file, env });
}

/** The same for text that is at hand; `file` is only named, and paths are relative to its directory. */
export function parseConfig<T>(
  text: string,
  schema: Schema<T>,
  from: { readonly file: string; readonly env?: NodeJS.ProcessEnv },
): T {
  const { file, env = process.env } = from;
  const credentials = env.CREDENTIALS_DIRECTORY === '' ? undefined : env.CREDENTIALS_DIRECTORY;
  const at: Place = { file, key: '', directory: dirname(resolve(file)), credentials };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const where = error instanceof SyntaxError ? error.message : String(error);
    throw configError('config-malformed', `${file}: this is not JSON: ${where}; mend that place.`, error);
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) {
    throw configError('config-malformed', `${file}: ${twice} is there twice; remove one of the two.`);
  }
  return schema.parse(value, at);
}

function readText(file: string): string {
  try {
    if (statSync(file).size > CONFIG_BYTES_MAX) {
      throw configError('config-unreadable', `${file}: larger than a configuration can be; name the right file.`);
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    if (code === 'config-unreadable') throw error;
    const why = READ_FAULTS[code] ?? `it cannot be read (${code}); mend the file or name another with --config.`;
    throw configError('config-unreadable', `${file}: ${why}`, error);
  }
}

const READ_FAULTS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; create it (deploy/ has examples) or name another with --config.',
  EISDIR: 'this is a directory; name the file in it with --config.',
  EACCES: 'this user may not read it; mend its owner or mode.',
  ERR_ENCODING_INVALID_ENCODED_DATA: 'this is not UTF-8 text; save it as UTF-8.',
};

/** The effective configuration in its one spelling: keys sorted, secrets only as the path they were read from. */
export const textOfConfig = (effective: unknown): string => JSON.stringify(canonical(effective));

/** Digest of that text. */
export const digestOfConfig = (effective: unknown): Digest =>
  `sha256:${createHash('sha256').update(textOfConfig(effective)).digest('hex')}`;

function canonical(value: unknown): unknown {
  if (value instanceof Secret) return { secret: value.path };
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, canonical(item)]));
}
