// The file with the highest session that link has accepted: a number that a session can have, or one coded error.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EPOCH_MAX } from '../../../packages/alc/src/index.ts';
import { OperationalError } from '../../../packages/ports/src/index.ts';
import { SessionFile } from '../../../packages/link/src/session-file.ts';
import { type FuzzTarget, check, utf8 } from '../target.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-fuzz-session-'));
process.once('exit', () => rmSync(directory, { recursive: true }));
const session = new SessionFile(directory);
const path = join(directory, 'highest-live-tsi');

/** The number in the file, or undefined when an operator must look. */
function read(): number | undefined {
  try {
    return session.read();
  } catch (error) {
    if (error instanceof OperationalError && error.code === 'session-file') return undefined;
    throw error;
  }
}

/** How far it was followed: two numbers, or nothing is known. */
function seen(bytes: Uint8Array): void {
  const path = join(directory, 'highest-live-sn');
  if (bytes.length === 0) rmSync(path, { force: true });
  else writeFileSync(path, bytes);
  const far = session.readSeen();
  if (far === undefined) return;
  check(Number.isSafeInteger(far.tsi) && Number.isSafeInteger(far.sn) && far.tsi >= 0 && far.sn >= 0, 'how far it was');
}

function run(bytes: Uint8Array): void {
  seen(bytes);
  if (bytes.length === 0) rmSync(path, { force: true });
  else writeFileSync(path, bytes);
  const tsi = read();
  if (tsi === undefined) return;
  check(Number.isSafeInteger(tsi) && tsi >= 0 && tsi <= EPOCH_MAX, `the session ${tsi}`);
  session.write(tsi - 1);
  check(read() === tsi, 'the highest session went back');
  const next = Math.min(tsi + 1, EPOCH_MAX);
  session.write(next);
  check(read() === next, 'the next session is not read');
}

export const target: FuzzTarget = {
  about: "link's file of the highest session: a session number or one coded error, and it never goes back",
  files: ['packages/link/src/session-file.ts'],
  beside: ['writeSeen'],
  bytesMax: 64,
  words: ['1073741823', '1073741824', '0x10', '1e3', '-1', ' 7\n'],
  run,
  seeds: () =>
    ['', '7\n', '1073741823', '1073741824', '1e3', '-1', '0', ' 12 \n', 'x', '٣', '7 12\n', '7 x\n'].map(utf8),
};
