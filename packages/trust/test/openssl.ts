import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Title of the tests that ask the openssl program; they are skipped without it, and fail instead in CI. */
export const WITH_OPENSSL = 'the openssl program agrees (skipped when missing: apt-get install openssl)';
export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl && process.env.CI === 'true') throw new Error('openssl missing: apt-get install openssl');

const run = (args: readonly string[], input?: Uint8Array): Buffer =>
  execFileSync('openssl', args, { input, stdio: ['pipe', 'pipe', 'pipe'] });

/** What openssl writes on standard output. */
export const openssl = (args: string, input?: Uint8Array): Buffer => run(args.split(' '), input);

/** Files for one call: `{name}` in the arguments becomes the path of the file. The exit status is 0 when `holds`. */
export function opensslOver(args: string, files: Readonly<Record<string, Uint8Array | string>>): Buffer | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-openssl-'));
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content, { mode: 0o600 });
    const words = args
      .split(' ')
      .map((word) => word.replace(/\{(\w+)\}/, (_all, name: string) => join(directory, name)));
    const done = spawnSync('openssl', words);
    return done.status === 0 ? done.stdout : undefined;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
