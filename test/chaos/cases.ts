import type { ChaosCase } from './case.ts';
import { chunkLogFull, spoolFull, storeFull } from './disks.ts';
import { io } from './io.ts';
import { late } from './late.ts';
import { redis } from './redis.ts';

/** In the order in which they run. */
export const CASES: readonly ChaosCase[] = [redis, spoolFull, storeFull, chunkLogFull, io, late];
