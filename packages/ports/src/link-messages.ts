import { type Digest, isDigest } from './digest.ts';
import { LINK_ALARMS, type LinkAlarm } from './errors.ts';

/**
 * What link and receiver say to each other over a Unix socket, one JSON object a line. The receiver listens, link
 * connects. Either side may restart: on each connection link says hello and names every whole object in its spool again.
 */
export const LINK_PROTOCOL = 1;
/** Most digests in one `allow`. */
export const ALLOW_DIGESTS = 500;
/** Keys of a link, and revoked keys in one message. */
const LINK_KEYS = 16;
export const END_KEYS = 1000;
/** Bytes of the largest statement (PROTOCOL.md section 8). */
export const STATEMENT_BYTES = 64 * 2 ** 20;
/** Bytes of the largest envelope: base64 and the frame make it a third larger than its statement. Link must be able to hold one that nobody vouches for. */
export const ENVELOPE_BYTES = STATEMENT_BYTES * 1.5;

/** A link key without its bytes. */
export interface LinkKeyNote {
  readonly id: string;
  readonly asid: number;
  readonly channel: string;
}

export type LinkToReceiver =
  | {
      readonly type: 'hello';
      readonly protocol: number;
      /** Highest live TSI accepted, 0 for none. */
      readonly tsi: number;
      /** `native` or `portable`. */
      readonly io: string;
      /** Effective receive buffer, bytes. */
      readonly receiveBuffer: number;
      /** Its keys. One of an earlier version does not tell, and cannot be told that one has ended. */
      readonly keys?: readonly LinkKeyNote[];
    }
  /** A whole object lies in the spool, synced. Its digest has not been checked: that is the receiver's. */
  | {
      readonly type: 'object';
      readonly channel: string;
      /** Name in the spool (PROTOCOL.md O-1). */
      readonly key: string;
      readonly digest: Digest;
      readonly size: number;
      readonly contentType: string;
      /** Absolute path. */
      readonly path: string;
    }
  /**
   * The first `bytes` bytes of an object that is not whole are in its file and stay as they are, not synced: who wants it
   * may hash behind the writes. 0 takes back what was said: they may not stay. May be lost.
   */
  | {
      readonly type: 'grown';
      readonly channel: string;
      readonly key: string;
      readonly digest: Digest;
      readonly size: number;
      readonly contentType: string;
      readonly path: string;
      readonly bytes: number;
    }
  /** How far an object is. */
  | {
      readonly type: 'progress';
      readonly channel: string;
      readonly digest: Digest;
      readonly size: number;
      readonly blocks: number;
      readonly stored: number;
    }
  | {
      readonly type: 'heartbeat';
      readonly channel: string;
      readonly tsi: number;
      /** Sender time, NTP seconds modulo 2^32. */
      readonly senderNtp: number;
      /** The body as it came: JSON, at most one symbol, authenticated. */
      readonly body: string;
    }
  | {
      readonly type: 'margin';
      readonly channel: string;
      readonly digest: Digest;
      readonly worst: number;
      readonly recovered: number;
    }
  /** A named state. */
  | { readonly type: 'alarm'; readonly code: LinkAlarm; readonly detail: string }
  /** Once a second. Numbers count from the start of the process. */
  | {
      readonly type: 'status';
      readonly tsi: number;
      readonly numbers: Readonly<Record<string, number>>;
      readonly verdicts: Readonly<Record<string, number>>;
      /** Nanoseconds that each stop of link has taken. */
      readonly stageNs: Readonly<Record<string, number>>;
      /** Authentic datagrams by key id. */
      readonly keys?: Readonly<Record<string, number>>;
    };

export type ReceiverToLink =
  /** What the receiver judges by: each file of the chunk log says so. Said on each connection. */
  | { readonly type: 'under'; readonly config: Digest; readonly trust: Digest; readonly policy: Digest }
  /** Objects of a bundle whose statements hold: they no longer count against `unsignedBytesHeld`. */
  | { readonly type: 'allow'; readonly channel: string; readonly digests: readonly Digest[] }
  /** The object was taken: its file goes, and it is not gathered again. */
  | { readonly type: 'settle'; readonly channel: string; readonly key: string }
  /** Leave is taken back, for want of room: what there is of these objects goes, whole or not. */
  | { readonly type: 'withdraw'; readonly channel: string; readonly digests: readonly Digest[] }
  /** The object was not what its digest says: its file goes, and a later pass brings it again. */
  | { readonly type: 'forget'; readonly channel: string; readonly key: string }
  /** Keys that were revoked: those of them that are link's count no more, for good. */
  | { readonly type: 'end-keys'; readonly ids: readonly string[] };

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const text = (value: unknown): value is string => typeof value === 'string' && value.length <= 16_384;
const count = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
const counts = (value: unknown): value is Readonly<Record<string, number>> =>
  isFields(value) && Object.values(value).every((n) => typeof n === 'number' && Number.isFinite(n));

const isKeyId = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const keyNotes = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.length <= LINK_KEYS &&
  value.every((note) => isFields(note) && isKeyId(note.id) && count(note.asid) && text(note.channel));
const absentOr =
  (holds: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === undefined || holds(value);

/** The fields each message of link must have, and their form. */
const FROM_LINK: Readonly<Record<LinkToReceiver['type'], Readonly<Record<string, (value: unknown) => boolean>>>> = {
  hello: { protocol: count, tsi: count, io: text, receiveBuffer: count, keys: absentOr(keyNotes) },
  object: { channel: text, key: text, digest: isDigest, size: count, contentType: text, path: text },
  grown: { channel: text, key: text, digest: isDigest, size: count, contentType: text, path: text, bytes: count },
  progress: { channel: text, digest: isDigest, size: count, blocks: count, stored: count },
  heartbeat: { channel: text, tsi: count, senderNtp: count, body: text },
  margin: { channel: text, digest: isDigest, worst: count, recovered: count },
  alarm: { code: (value) => LINK_ALARMS.some((code) => code === value), detail: text },
  status: { tsi: count, numbers: counts, verdicts: counts, stageNs: counts, keys: absentOr(counts) },
};

const FROM_RECEIVER: Readonly<Record<ReceiverToLink['type'], Readonly<Record<string, (value: unknown) => boolean>>>> = {
  allow: {
    channel: text,
    digests: (value) => Array.isArray(value) && value.length <= ALLOW_DIGESTS && value.every(isDigest),
  },
  withdraw: {
    channel: text,
    digests: (value) => Array.isArray(value) && value.length <= ALLOW_DIGESTS && value.every(isDigest),
  },
  under: { config: isDigest, trust: isDigest, policy: isDigest },
  settle: { channel: text, key: text },
  forget: { channel: text, key: text },
  'end-keys': { ids: (value) => Array.isArray(value) && value.length <= END_KEYS && value.every(isKeyId) },
};

function fits(
  value: unknown,
  forms: Readonly<Record<string, Readonly<Record<string, (value: unknown) => boolean>>>>,
): boolean {
  if (!isFields(value) || typeof value.type !== 'string' || !Object.hasOwn(forms, value.type)) return false;
  const form = forms[value.type] ?? {};
  return Object.entries(form).every(([name, holds]) => holds(value[name]));
}

/** The message, or undefined when it is none of link's. */
export const parseLinkMessage = (value: unknown): LinkToReceiver | undefined =>
  fits(value, FROM_LINK) ? (value as LinkToReceiver) : undefined;

/** The message, or undefined when it is none of the receiver's. */
export const parseReceiverMessage = (value: unknown): ReceiverToLink | undefined =>
  fits(value, FROM_RECEIVER) ? (value as ReceiverToLink) : undefined;
