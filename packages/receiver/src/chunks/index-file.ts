import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  encodeLogRecord,
  type LogEntry,
  type LogRecord,
  parseEnvelope,
  parseLogRecord,
  preAuthEncoding,
  type Verifier,
} from '@sluice/bundle';
import type { Digest } from '@sluice/ports';
import { signEnvelope, type Signer } from '@sluice/trust';

/** The index beside the chunk logs: a DSSE envelope a line, oldest first. */
export const INDEX_NAME = 'chunks.index';
const LINE_FEED = 10;

export const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export interface ReadIndex {
  readonly records: readonly LogRecord[];
  /** Digest of the last whole line: what the next one names. */
  readonly head: Digest | null;
  /** Bytes up to the end of the last whole line. */
  readonly bytes: number;
  /** What is wrong with it, a sentence each. Without keys no signature is looked at. */
  readonly faults: readonly string[];
}

/** Reads the index of a directory; an absent one is empty. */
export function readIndex(directory: string, verifiers?: readonly Verifier[]): ReadIndex {
  const path = join(directory, INDEX_NAME);
  const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  const records: LogRecord[] = [];
  const faults: string[] = [];
  let head: Digest | null = null;
  let at = 0;
  for (let line = 1; ; line += 1) {
    const end = bytes.indexOf(LINE_FEED, at);
    if (end < 0) break;
    // With its line feed: an envelope's one spelling ends with it.
    const whole = bytes.subarray(at, end + 1);
    const record = recordIn(whole, head, verifiers);
    if (typeof record === 'string') faults.push(`line ${String(line)} of the index ${record}`);
    else records.push(record);
    head = digestOf(whole);
    at = end + 1;
  }
  if (at < bytes.length) faults.push('the last line of the index is cut off');
  return { records, head, bytes: at, faults };
}

function recordIn(
  line: Uint8Array,
  head: Digest | null,
  verifiers: readonly Verifier[] | undefined,
): LogRecord | string {
  const envelope = parseEnvelope(line);
  const record = envelope.ok ? parseLogRecord(envelope.value.payload) : undefined;
  if (!envelope.ok || record === undefined) return 'is no record';
  if (record.previous !== head) return 'does not follow the line before: lines were removed, added or altered';
  if (verifiers === undefined) return record;
  const message = preAuthEncoding(envelope.value.payload);
  const isSigned = verifiers.some((verifier) =>
    envelope.value.signatures.some(({ keyid, sig }) => keyid === verifier.keyid && verifier.verify(message, sig)),
  );
  return isSigned ? record : 'is signed by none of the keys given';
}

/** Appends to the index, durable on return. */
export class IndexWriter {
  readonly #path: string;
  readonly #signer: Signer;
  #head: Digest | null;
  /** Up to the end of the last whole line. */
  #bytes: number;

  constructor(directory: string, signer: Signer, index: ReadIndex) {
    this.#path = join(directory, INDEX_NAME);
    this.#signer = signer;
    this.#head = index.head;
    this.#bytes = index.bytes;
    this.#cutOff();
  }

  get head(): Digest | null {
    return this.#head;
  }

  append(entry: LogEntry): void {
    this.#cutOff();
    const envelope = signEnvelope(encodeLogRecord({ ...entry, previous: this.#head }), [this.#signer]);
    const file = openSync(this.#path, 'a', 0o640);
    try {
      for (let done = 0; done < envelope.length;) done += writeSync(file, envelope, done);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    this.#head = digestOf(envelope);
    this.#bytes += envelope.length;
  }

  /** What a crash, or a disk that failed, left of a line goes. */
  #cutOff(): void {
    if (existsSync(this.#path)) truncateSync(this.#path, this.#bytes);
  }
}
