// Names, order and retention of chunk log files. The number orders them; the time is for people, since clocks go back.
import type { LogStorage } from './storage.ts';

const NAME = /^chunks-\d{8}T\d{6}Z-(\d{6,12})\.pcapng(?:\.zst)?$/;

/** `chunks-20261124T081500Z-000007.pcapng` */
export function logName(wallMs: number, number: number): string {
  const utc = new Date(wallMs).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  return `chunks-${utc}-${String(number).padStart(6, '0')}.pcapng`;
}

/** The number in a chunk log's name, or undefined for any other file. */
export function logNumber(name: string): number | undefined {
  const found = NAME.exec(name)?.[1];
  return found === undefined ? undefined : Number(found);
}

/**
 * Removes the oldest chunk logs until the rest take at most `bytesMax`, and returns the greatest number seen (0 for none).
 * What its keeper has compressed is the keeper's.
 */
export async function retain(storage: LogStorage, bytesMax: number): Promise<number> {
  const listed = await storage.list();
  const logs = listed
    .map((entry) => ({ ...entry, number: logNumber(entry.name) ?? -1 }))
    .filter((entry) => entry.number >= 0)
    .sort((a, b) => a.number - b.number);
  const ours = logs.filter(({ name }) => !name.endsWith('.zst'));
  let total = ours.reduce((sum, entry) => sum + entry.bytes, 0);
  for (const entry of ours) {
    if (total <= bytesMax) break;
    await storage.remove(entry.name);
    total -= entry.bytes;
  }
  return logs.at(-1)?.number ?? 0;
}
