import { blackStart } from './black-start.ts';
import type { ChaosCase } from './case.ts';
import { chunkLogFull, spoolFull, storeFull } from './disks.ts';
import { hostile } from './hostile.ts';
import { io } from './io.ts';
import { kill } from './kill.ts';
import { late } from './late.ts';
import { redis } from './redis.ts';
import { receiverRestored, senderRestored } from './restore.ts';
import { spoolRot, storeRot } from './rot.ts';
import { shaken } from './shaken.ts';
import { soak } from './soak.ts';

/** In the order in which they run. */
export const CASES: readonly ChaosCase[] = [
  kill,
  redis,
  blackStart,
  spoolFull,
  storeFull,
  chunkLogFull,
  io,
  spoolRot,
  storeRot,
  senderRestored,
  receiverRestored,
  late,
  shaken,
  hostile,
  soak,
];
