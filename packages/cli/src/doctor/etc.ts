import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadConfig, type Schema } from '@sluice/base';
import { fail, type Finding, ok, unknown } from './finding.ts';

/** A daemon's configuration as the daemon would have it, and what was found on the way. */
export interface Loaded<T> {
  readonly config: T | undefined;
  readonly finding: Finding;
}

/**
 * Reads `ETC/DAEMON.json`. The secrets are those that systemd hands over, or else those in `ETC/keys/DAEMON`, under the same
 * names. Says what is wrong instead of throwing.
 */
export function loadEtc<T>(etc: string, daemon: string, schema: Schema<T>): Loaded<T> {
  const file = join(etc, `${daemon}.json`);
  const check = `config:${daemon}`;
  if (!existsSync(file)) return { config: undefined, finding: unknown(check, `there is no ${file}`) };
  const keys = resolve(etc, 'keys', daemon);
  const given = process.env.CREDENTIALS_DIRECTORY;
  const credentials = given ?? mkdtempSync(join(tmpdir(), 'sluice-doctor-'));
  try {
    if (given === undefined && existsSync(keys))
      for (const name of readdirSync(keys)) symlinkSync(join(keys, name), join(credentials, `key_${name}`));
    const config = loadConfig(file, schema, { ...process.env, CREDENTIALS_DIRECTORY: credentials });
    return { config, finding: ok(check, `${file} is good`) };
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    return {
      config: undefined,
      finding: fail(check, what, 'the daemon does not start with it', `sluice config check ${daemon} ${file}`),
    };
  } finally {
    if (given === undefined) rmSync(credentials, { recursive: true });
  }
}
