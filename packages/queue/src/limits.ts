import { isDigest, type Digest } from '@sluice/ports';

/** The queue of import jobs; every part of one installation uses the same. */
export const QUEUE_NAME = 'sluice-import';
/** How long Redis may take for one call before it counts as unavailable. */
export const QUEUE_TIMEOUT_MS = 5000;
/** Finished jobs kept, with their receipts, for who missed the event. */
export const FINISHED_JOBS = 1000;
/** Longest receipt a job may return, in characters. */
export const RECEIPT_LIMIT = 1024 * 1024;
/** A job is tried for ever: only its handler ends it. */
export const ATTEMPTS = 2 ** 31 - 1;

/** Job id of a bundle: `sha256-HEX` (PROTOCOL.md B-6; BullMQ takes no colon). */
export const jobIdOf = (bundle: Digest): string => bundle.replace(':', '-');

/** The bundle a job id names; undefined for anything else. */
export function bundleOf(jobId: string): Digest | undefined {
  const digest = jobId.replace('-', ':');
  return isDigest(digest) && jobIdOf(digest) === jobId ? digest : undefined;
}
