import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChunkLog, directoryStorage } from '@sluice/pcapng';
import { loadSigner, loadVerifier, makeKeyPair } from '@sluice/trust';
import { onTestFinished } from 'vitest';
import { ChunkKeeper } from '../src/index.ts';

export const { privatePem, publicPem } = makeKeyPair('Ed25519');
export const signer = loadSigner(privatePem);
export const keys = [loadVerifier(publicPem)];
export const START = Date.parse('2026-11-24T08:00:00Z');
export const HOUR = 3_600_000;
export const UNDER = { mode: 'full', link: `sha256:${'1'.repeat(64)}`, policy: `sha256:${'2'.repeat(64)}` };

/** A directory with chunk logs of an hour each, written as link writes them; the last is the one that is open. */
export async function logs(hours: number): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-keeper-'));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  let now = START;
  const clock = { wallMs: () => now, upMs: () => now };
  const ends = {
    name: 'link',
    sourceAddress: '192.0.2.1',
    sourcePort: 1,
    destinationAddress: '192.0.2.2',
    destinationPort: 2,
  };
  const log = new ChunkLog(
    {
      ...{ mode: 'full', interfaces: [ends], section: { application: 'test', comment: JSON.stringify(UNDER) } },
      ...{ fileBytes: 2 ** 20, fileAgeMs: HOUR, totalBytes: 2 ** 30, bufferBytes: 2 ** 20, flushMs: 1e6, retryMs: 1 },
    },
    directoryStorage(directory),
    clock,
  );
  for (let hour = 0; hour < hours; hour += 1, now += HOUR) {
    const bytes = new Uint8Array(40_000).fill(hour);
    const at = { bytes, offsets: [0], lengths: [bytes.length], count: 1 };
    for (const minute of [0, 30]) {
      log.append(at, ['accepted'], BigInt(now + minute * 60_000) * 1_000_000n);
    }
    await log.flush();
  }
  await log.close();
  return directory;
}

export const kept = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.zst'))
    .toSorted();
export const plain = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.pcapng'))
    .toSorted();
export const keeper = (directory: string, totalBytes = 2 ** 30): ChunkKeeper =>
  new ChunkKeeper({ directory, signer, totalBytes });
