import { createHash } from 'node:crypto';
import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ClosedLog, Verifier } from '@sluice/bundle';
import { logNumber } from '@sluice/pcapng';
import type { Digest } from '@sluice/ports';
import { readIndex } from './index-file.ts';

export interface LogVerification {
  /** Files that are as the index says, and what they were received under. */
  readonly good: readonly ClosedLog[];
  /** Files that retention took away, by the index. */
  readonly removed: number;
  /** Files that are not in the index yet: they are being written, or wait for their entry. */
  readonly waiting: readonly string[];
  readonly head: Digest | null;
  /** A sentence for each thing that is not as it should be. */
  readonly faults: readonly string[];
}

const STORED = '.zst';

/**
 * Holds the files of a chunk log against its index, and the index against itself. What it cannot see is an end that was cut
 * off, files and lines: for that `head` is in the receiver's ledger.
 */
export async function verifyChunkLog(
  directory: string,
  verifiers: readonly Verifier[],
  onFile: (done: number, total: number) => void = () => undefined,
): Promise<LogVerification> {
  const { records, head, faults: indexFaults } = readIndex(directory, verifiers);
  const kept = new Map<string, ClosedLog>();
  const gone = new Map<string, Digest>();
  for (const record of records) {
    if (record.action === 'closed') kept.set(record.name, record);
    else if (kept.delete(record.name)) gone.set(record.name, record.digest);
  }
  const names = readdirSync(directory).filter((name) => logNumber(name) !== undefined);
  const faults = [...indexFaults, ...gapsIn(records.filter((record) => record.action === 'closed'))];
  const good: ClosedLog[] = [];
  const total = [...kept.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  for (const [name, record] of kept) {
    if (!names.includes(name)) faults.push(`${name} is in the index and not there: it was removed`);
    else if ((await digestOfFile(join(directory, name))) === record.digest) good.push(record);
    else faults.push(`${name} is not what the index says: it was altered`);
    done += record.bytes;
    onFile(done, total);
  }
  const last = Math.max(0, ...records.map(({ number }) => number));
  const strangers = names.filter((name) => !kept.has(name));
  const isWaiting = (name: string): boolean => (logNumber(name) ?? 0) > last || kept.has(`${name}${STORED}`);
  for (const name of strangers) {
    // Entered as removed, and then there was no time to take it away.
    const goes = gone.has(name) && (await digestOfFile(join(directory, name))) === gone.get(name);
    if (!isWaiting(name) && !goes) faults.push(`${name} is there and not in the index: it was added`);
  }
  return { good, removed: gone.size, waiting: strangers.filter(isWaiting), head, faults };
}

/** Numbers of files that never were in the index. */
function gapsIn(closed: readonly ClosedLog[]): string[] {
  return closed.flatMap(({ number, name }, i) => {
    const before = closed[i - 1];
    if (before === undefined || number === before.number + 1) return [];
    if (number <= before.number) return [`${name} has a number that is not above the one before`];
    return [
      `files ${String(before.number + 1)} to ${String(number - 1)} are not in the index: they were gone before they could be entered`,
    ];
  });
}

async function digestOfFile(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(piece as Uint8Array);
  return `sha256:${hash.digest('hex')}`;
}
