// jazzer.js, installed where only the fuzzer looks: it brings a hundred packages that nobody else needs.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const FILES = ['package.json', 'package-lock.json'] as const;

/** The path of jazzer.js's command below `directory`, installed by npm from engine/package-lock.json where it is not yet. @throws Error */
export function jazzerIn(directory: string): string {
  const from = join(import.meta.dirname, 'engine');
  const command = 'node_modules/@jazzer.js/core/dist/cli.js';
  const lock = join(directory, 'package-lock.json');
  const current = existsSync(lock) && readFileSync(lock).equals(readFileSync(join(from, 'package-lock.json')));
  if (!current || !existsSync(join(directory, command))) install(from, directory);
  return join(directory, command);
}

function install(from: string, directory: string): void {
  const unfinished = `${directory}.new`;
  for (const old of [unfinished, directory]) rmSync(old, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  for (const file of FILES) copyFileSync(join(from, file), join(unfinished, file));
  console.error(`fuzz: installing jazzer.js from npm into ${directory}`);
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
  const done = spawnSync('npm', args, { cwd: unfinished, stdio: ['ignore', 2, 2] });
  if (done.error !== undefined || done.status !== 0) {
    const why = done.error?.message ?? `it ended with status ${String(done.status)}`;
    throw new Error(`jazzer.js is installed by npm, which could not (${why}); reach an npm registry`);
  }
  renameSync(unfinished, directory);
}
