import { type Digest, hexOf, isDigest } from '@sluice/ports';
import { STATEMENT_TYPE } from './statement.ts';

/** Predicate of the records of a chunk log's index. None of them is ever sent. */
export const LOG_PREDICATE = 'urn:sluice:chunk-log:v1';

/** A file of the chunk log as it was when link had closed it. */
export interface ClosedLog {
  readonly action: 'closed';
  /** Number in its name: they follow each other. */
  readonly number: number;
  /** Name of the file as it is kept, its digest and length. */
  readonly name: string;
  readonly digest: Digest;
  readonly bytes: number;
  /** What link wrote: the same, not compressed. */
  readonly plain: { readonly digest: Digest; readonly bytes: number };
  /** Of the first and the last datagram, Unix milliseconds by the clock of then. */
  readonly from: number;
  readonly to: number;
  readonly datagrams: number;
  /** Left out because the disk did not keep up, and dropped by the kernel before anybody saw them. */
  readonly droppedByLog: number;
  readonly droppedByKernel: number;
  /** What the file says that it was received under: mode, and digests of configurations, trust anchors and policy. */
  readonly under: Readonly<Record<string, string>>;
}

/** A file that retention took away. */
export interface RemovedLog {
  readonly action: 'removed';
  readonly number: number;
  readonly name: string;
  readonly digest: Digest;
  readonly reason: string;
}

/** What a line of the index says. */
export type LogEntry = ClosedLog | RemovedLog;

/** One link of the index's chain. */
export type LogRecord = LogEntry & {
  /** Digest of the line before, null for the first. */
  readonly previous: Digest | null;
};

/** The record as an in-toto statement whose subject is the file. */
export function encodeLogRecord({ name, digest, ...predicate }: LogRecord): Uint8Array {
  const document = {
    _type: STATEMENT_TYPE,
    subject: [{ name, digest: { sha256: hexOf(digest) } }],
    predicateType: LOG_PREDICATE,
    predicate,
  };
  return new TextEncoder().encode(JSON.stringify(document));
}

const isCount = (value: unknown): boolean => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
/** Unix milliseconds that a date can have. */
const isTime = (value: unknown): boolean => isCount(value) && (value as number) <= 8.64e15;
const isText = (value: unknown): boolean => typeof value === 'string' && value.length <= 1024;

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The record in a payload, undefined when it is none. */
export function parseLogRecord(payload: Uint8Array): LogRecord | undefined {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    return undefined;
  }
  if (!isFields(document) || document.predicateType !== LOG_PREDICATE) return undefined;
  const { predicate } = document;
  const [subject] = Array.isArray(document.subject) ? (document.subject as readonly unknown[]) : [];
  if (!isFields(predicate) || !isFields(subject) || !isFields(subject.digest)) return undefined;
  const digest = `sha256:${String(subject.digest.sha256)}`;
  const { action, number, previous, reason } = predicate;
  const isFrame = isCount(number) && (previous === null || isDigest(previous)) && isDigest(digest);
  if (!isFrame || !isText(subject.name)) return undefined;
  const isWhole = action === 'removed' ? isText(reason) : action === 'closed' && isClosed(predicate);
  return isWhole ? ({ ...predicate, name: subject.name, digest } as unknown as LogRecord) : undefined;
}

function isClosed(predicate: Readonly<Record<string, unknown>>): boolean {
  const { bytes, plain, from, to, datagrams, droppedByLog, droppedByKernel, under } = predicate;
  const { digest, bytes: plainBytes } = (plain ?? {}) as Partial<ClosedLog['plain']>;
  return (
    [bytes, plainBytes, datagrams, droppedByLog, droppedByKernel].every(isCount) &&
    [from, to].every(isTime) &&
    isDigest(digest) &&
    typeof under === 'object' &&
    under !== null &&
    Object.values(under).every(isText)
  );
}
