// The formats as the version before wrote them (test/vectors/statements): what it wrote is read, and what uses nothing new is
// written byte for byte as it wrote it, so that it reads us.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseLinkMessage, parseReceiverMessage, type Result } from '@sluice/ports';
import { describe, expect, it } from 'vitest';
import { parseHeartbeat } from '../../receiver/src/heartbeat.ts';
import { encodeHistory, parseHistory } from '../src/history.ts';
import { encodeReceipt, parseReceipt } from '../src/receipt.ts';
import { encodeRelease, parseRelease } from '../src/release.ts';
import { encodeTransport, parseTransport } from '../src/transport.ts';
import { valueOf } from './samples.ts';

const vector = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../../../test/vectors/statements', name), 'utf8').trimEnd();

const again =
  <T>(parse: (bytes: Uint8Array) => Result<T>, encode: (value: T) => Uint8Array) =>
  (bytes: Uint8Array): Uint8Array =>
    encode(valueOf(parse(bytes)));

const STATEMENTS: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  transport: again(parseTransport, encodeTransport),
  release: again(parseRelease, encodeRelease),
  history: again(parseHistory, encodeHistory),
  receipt: again(parseReceipt, encodeReceipt),
};

describe('a statement of the version before', () => {
  it.each(Object.entries(STATEMENTS))('is read, and written as it was: %s', (name, through) => {
    const bytes = Buffer.from(vector(`${name}.json`));
    expect(Buffer.from(through(bytes)).toString()).toBe(bytes.toString());
  });
});

describe('what link and sender of the version before say', () => {
  it('a heartbeat is one', () => {
    expect(parseHeartbeat(vector('heartbeat.json'))).toMatchObject({ sequence: 12, state: 'idle', faults: [] });
  });

  it('link is understood without what it does not tell', () => {
    const messages = vector('link.ndjson')
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(messages.map((message) => parseLinkMessage(message))).toEqual(messages);
  });

  it('and what is new is held to its form', () => {
    const [hello = {}, status = {}] = vector('link.ndjson')
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    const key = { id: 'ab'.repeat(32), asid: 1, channel: 'prod' };
    expect(parseLinkMessage({ ...hello, keys: [key] })).toBeDefined();
    expect(parseLinkMessage({ ...status, keys: { [key.id]: 5 } })).toBeDefined();
    for (const keys of [
      {},
      [{}],
      [{ ...key, id: 'AB' }],
      [{ ...key, asid: -1 }],
      Array.from({ length: 17 }, () => key),
    ])
      expect(parseLinkMessage({ ...hello, keys })).toBeUndefined();
    expect(parseLinkMessage({ ...status, keys: { x: 'y' } })).toBeUndefined();
    expect(parseReceiverMessage({ type: 'end-keys', ids: [key.id] })).toBeDefined();
    for (const ids of [undefined, key.id, ['x'], [7]])
      expect(parseReceiverMessage({ type: 'end-keys', ids })).toBeUndefined();
  });
});
