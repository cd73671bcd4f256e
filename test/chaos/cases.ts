import type { ChaosCase } from './case.ts';
import { spoolFull, storeFull } from './disks.ts';

/** In the order in which they run. */
export const CASES: readonly ChaosCase[] = [spoolFull, storeFull];
