import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Schema } from '@sluice/base';
import { loadAsDaemon } from '../credentials.ts';
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
  try {
    return { config: loadAsDaemon(file, daemon, schema), finding: ok(check, `${file} is good`) };
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    return {
      config: undefined,
      finding: fail(check, what, 'the daemon does not start with it', `sluice config check ${daemon} ${file}`),
    };
  }
}
