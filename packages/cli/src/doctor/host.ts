import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** The text of a file of /proc or /sys, without its line end; undefined when there is none or it cannot be read now. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

export function readNumber(path: string): number | undefined {
  const text = readText(path);
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}

export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

const PROGRAM_MS = 5000;

/** What a program of the host prints; undefined when it is not installed or does not answer. */
export function ask(
  program: string,
  ...args: readonly string[]
): { readonly status: number; readonly out: string } | undefined {
  const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
  const asked = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: PROGRAM_MS,
    env: { PATH: path, LC_ALL: 'C' },
  });
  if (asked.error !== undefined || asked.status === null) return undefined;
  return { status: asked.status, out: asked.stdout };
}

/** A size for people. */
export const mib = (bytes: number): string => `${String(Math.round(bytes / 2 ** 20))} MiB`;
