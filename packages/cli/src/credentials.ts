import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { loadConfig, type Schema } from '@sluice/base';

/** Beside its configuration: what systemd hands a daemon as credentials, each `NAME` as `key_NAME`. */
export const keysDirectory = (file: string, daemon: string): string => resolve(dirname(file), 'keys', daemon);

/**
 * A daemon's configuration, read as the daemon reads it. Its secrets are those that systemd hands over, or else those of `keys/DAEMON` beside the file.
 * @throws as loadConfig
 */
export function loadAsDaemon<T>(file: string, daemon: string, schema: Schema<T>): T {
  const keys = keysDirectory(file, daemon);
  if (process.env.CREDENTIALS_DIRECTORY !== undefined || !existsSync(keys)) return loadConfig(file, schema);
  const credentials = mkdtempSync(join(tmpdir(), 'sluice-keys-'));
  try {
    for (const name of readdirSync(keys)) symlinkSync(join(keys, name), join(credentials, `key_${name}`));
    return loadConfig(file, schema, { ...process.env, CREDENTIALS_DIRECTORY: credentials });
  } finally {
    rmSync(credentials, { recursive: true });
  }
}
