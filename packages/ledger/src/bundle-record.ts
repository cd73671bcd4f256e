import { type Digest, hostile, type HostileText } from '@sluice/ports';

/**
 * receiving: its transport statement holds. published: verified, in the store, in the outbox. queued: its job is in Redis.
 * imported, failed: the importer's receipt says so. quarantined: refused, nothing of it is imported.
 */
export const BUNDLE_STATES = ['receiving', 'published', 'queued', 'imported', 'failed', 'quarantined'] as const;
export type BundleState = (typeof BUNDLE_STATES)[number];

export interface BundleRecord {
  readonly id: Digest;
  readonly channel: string;
  /** 0 when the statement was refused before its number counted. */
  readonly sequence: number;
  readonly release: Digest;
  readonly name: HostileText;
  readonly state: BundleState;
  /** Reject code or receipt code, empty while there is none. */
  readonly code: string;
  readonly detail: HostileText;
  readonly bytes: number;
  /** Unix milliseconds. */
  readonly firstSeen: number;
  readonly changed: number;
}

/** A bundle that the sender has told of and that has not come. */
export interface MissingBundle {
  readonly sequence: number;
  /** Its id, once the sender's history told it. */
  readonly bundle?: Digest;
  /** Name of its release, by the sender's word. */
  readonly name?: HostileText;
  readonly bytes?: number;
}

export interface Row {
  readonly number: number;
  readonly id: Digest;
  readonly channel: string;
  readonly sequence: number;
  readonly release: Digest;
  readonly name: string;
  readonly state: BundleState;
  readonly code: string;
  readonly detail: string;
  readonly bytes: number;
  readonly first_seen: number;
  readonly changed: number;
}

/** Longest reason of a refusal that is shown. */
const DETAIL_MAX = 2048;

export const recordOf = ({ first_seen: firstSeen, number: _, name, detail, ...row }: Row): BundleRecord => ({
  ...row,
  name: hostile(name),
  detail: hostile(detail, DETAIL_MAX),
  firstSeen,
});
