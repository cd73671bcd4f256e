import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '@sluice/ports';
import type { ObjectInfo } from '@sluice/transfer';
import { expect, onTestFinished } from 'vitest';
import { FileSpool, type SpoolEntry, type SpoolLimits } from '../src/spool.ts';
import { digestOf, hand, LIMITS } from './samples.ts';

/** A directory that goes away with the test. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-link-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A spool and what it told. */
export class Told {
  readonly spool: FileSpool;
  readonly whole: { readonly entry: SpoolEntry; readonly path: string }[] = [];
  readonly grown: { readonly key: string; readonly bytes: number; readonly there: Buffer }[] = [];
  readonly lost: string[] = [];
  readonly alarms: string[] = [];

  constructor(root: string, limits: Partial<SpoolLimits> = {}) {
    const events = {
      onWhole: (entry: SpoolEntry, path: string) => this.whole.push({ entry, path }),
      onGrown: ({ key }: SpoolEntry, path: string, bytes: number) =>
        this.grown.push({ key, bytes, there: bytes === 0 ? Buffer.of() : readFileSync(path).subarray(0, bytes) }),
      onLost: ({ key }: SpoolEntry) => this.lost.push(key),
      onAlarm: (code: string) => this.alarms.push(code),
    };
    this.spool = new FileSpool(root, ['prod', 'lab'], { ...LIMITS, ...limits }, events);
    onTestFinished(() => this.spool.close());
  }

  /** Opens an object and hands over its blocks, or those that `wanted` says; the answers. */
  take(info: ObjectInfo, bytes: Uint8Array, wanted: (sbn: number) => boolean = () => true): string[] {
    const opened = this.spool.open(info);
    return typeof opened === 'string' ? [opened] : hand(this.spool, info, bytes, wanted);
  }

  /** The digests of the files that were named whole, as they lie there. */
  contents(): Digest[] {
    return this.whole.map(({ path }) => digestOf(readFileSync(path)));
  }
}

export const until = async (check: () => boolean): Promise<void> => {
  await expect.poll(check, { interval: 5, timeout: 15_000 }).toBe(true);
};
