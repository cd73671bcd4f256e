import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Writes a small file whole or not at all: synced, renamed, its directory synced. */
export function writeDurably(directory: string, name: string, text: string): void {
  const path = join(directory, name);
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const above = openSync(directory, 'r');
  try {
    fsyncSync(above);
  } finally {
    closeSync(above);
  }
}
