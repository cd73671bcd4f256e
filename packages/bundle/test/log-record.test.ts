import { describe, expect, it } from 'vitest';
import { encodeLogRecord, type LogRecord, parseLogRecord } from '../src/log-record.ts';
import { HEX, json } from './samples.ts';

const DIGEST = `sha256:${HEX}` as const;
const CLOSED: LogRecord = {
  ...{ action: 'closed', number: 1, bytes: 5, plain: { digest: DIGEST, bytes: 9 }, from: 7, to: 8.64e15 },
  ...{ datagrams: 3, droppedByLog: 0, droppedByKernel: 1, under: { mode: 'full' }, previous: null },
  ...{ name: 'chunks-1.pcapng.zst', digest: DIGEST },
};

describe('a record of the index', () => {
  it('is read as it was written', () => {
    expect(parseLogRecord(encodeLogRecord(CLOSED))).toEqual(CLOSED);
  });

  it('is none with a number, a text or a time that cannot be', () => {
    const document = JSON.parse(Buffer.from(encodeLogRecord(CLOSED)).toString()) as { predicate: object };
    const changes = [
      ...[{ from: 8.64e15 + 1 }, { to: 8.64e15 + 1 }, { to: -1 }, { number: 0.5 }, { under: { mode: 1 } }],
      ...[{ previous: 'x' }, { plain: { digest: 'x', bytes: 1 } }, { action: 'opened' }, { action: 'removed' }],
    ];
    const read = changes.filter(
      (change) => parseLogRecord(json({ ...document, predicate: { ...document.predicate, ...change } })) !== undefined,
    );
    expect(read).toEqual([]);
  });
});
