import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Digest, OperationalError } from '@sluice/ports';
import { onTestFinished } from 'vitest';

export const digest = (name: string): Digest => `sha256:${createHash('sha256').update(name).digest('hex')}`;

/** A place for a ledger, gone after the test. */
export function newPath(): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-ledger-'));
  onTestFinished(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return join(dir, 'state', 'ledger.sqlite');
}

/** Something done to a ledger's file by another program. */
export function tamper(path: string, ...statements: readonly string[]): void {
  const database = new DatabaseSync(path);
  for (const statement of statements) database.exec(statement);
  database.close();
}

/** One value out of a ledger's file. */
export function valueOf(path: string, question: string): unknown {
  const database = new DatabaseSync(path, { readOnly: true });
  const [value] = Object.values(database.prepare(question).get() ?? {});
  database.close();
  return value;
}

export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof OperationalError) return error.code;
    throw error;
  }
  return 'no error';
}
