// TSI: the class in the top two bits, the epoch below (docs/PROTOCOL.md S-1).
import { EPOCH_MAX } from './limits.ts';

/** 2020-01-01T00:00:00Z in Unix seconds: epochs count from here. */
const EPOCH_START = 1_577_836_800;

export type SessionClass = 'live' | 'media' | 'repair';

const CLASSES: readonly SessionClass[] = ['live', 'media', 'repair'];

/** The class of a TSI, or undefined for the reserved class 3. */
export const tsiClass = (tsi: number): SessionClass | undefined => CLASSES[tsi >>> 30];

/** The epoch, 1 to 2^30 - 1 (0 is never sent). */
export const tsiEpoch = (tsi: number): number => (tsi & EPOCH_MAX) >>> 0;

/** The epoch that the clock gives at a time, Unix seconds; below 1 before 2020. */
export const epochAt = (unixSeconds: number): number => Math.floor(unixSeconds) - EPOCH_START;

/** The TSI of a class and an epoch (1 to 2^30 - 1). */
export function makeTsi(cls: SessionClass, epoch: number): number {
  if (!Number.isInteger(epoch) || epoch < 1 || epoch > EPOCH_MAX) throw new Error(`epoch ${epoch} is out of range`);
  return CLASSES.indexOf(cls) * 2 ** 30 + epoch;
}
