import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readEsi, readToi } from '@sluice/alc';
import { expect, it } from 'vitest';
import { Feed, keyOf, Link } from './feed.ts';
import { bytesOf, digestOf } from './samples.ts';
import { scratch, until } from './tools.ts';

const MIB = 2 ** 20;
const SESSION = 200_000_000;
const STATEMENT = bytesOf('statement', 900);
const BLOB = bytesOf('blob', 3 * MIB);
/** Two keys of one channel. */
const KEYS = [keyOf(0, 'prod', 7), keyOf(1, 'prod', 8)] as const;
const [OLD, NEW] = KEYS;

it('both keys of a channel count in an overlap: what one began the other completes', async () => {
  const link = new Link(scratch(), { unsignedBytesHeld: 8 * MIB }, { keys: KEYS });
  // Of each block one key brings some symbols, the other the rest: neither has enough.
  const half = (datagrams: readonly Uint8Array[], wanted: (esi: number) => boolean): Uint8Array[] =>
    datagrams.filter((datagram) => readToi(datagram, 0) === 0 || wanted(readEsi(datagram, 0)));
  const before = new Feed(SESSION, [OLD]);
  const first = half(before.pass(before.order([STATEMENT], [BLOB])), (esi) => esi < 110);
  link.source.give(first);
  const after = new Feed(SESSION + 1, KEYS);
  const second = half(after.pass({ ...after.order([STATEMENT], [BLOB]), asid: 1 }), (esi) => esi >= 110);
  expect(link.objects.map(({ digest }) => digest)).not.toContain(digestOf(BLOB));
  link.source.give(second);
  await until(() => link.objects.some(({ digest }) => digest === digestOf(BLOB)));
  const { path, channel } = link.objects.find(({ digest }) => digest === digestOf(BLOB))!;
  expect([channel, digestOf(readFileSync(path))]).toEqual(['prod', digestOf(BLOB)]);
  expect(link.pipeline.authentic).toEqual({ [OLD.id]: first.length, [NEW.id]: second.length });
});

it('a revoked key ends at once, for good, and over a restart; the other goes on', async () => {
  const directory = scratch();
  const link = new Link(directory, { unsignedBytesHeld: 8 * MIB }, { keys: KEYS });
  const feed = new Feed(SESSION, KEYS);
  await link.pipeline.obey({ type: 'end-keys', ids: ['ab'.repeat(32), OLD.id] });
  const datagrams = feed.pass(feed.order([STATEMENT], [BLOB]));
  link.source.give(datagrams);
  expect(link.verdict('key-ended')).toBe(datagrams.length);
  expect(link.pipeline.authentic).toEqual({ [OLD.id]: 0, [NEW.id]: 0 });
  expect(readFileSync(join(directory, 'state/ended-keys'), 'utf8')).toBe(`${OLD.id}\n`);
  await link.pipeline.spool.close();

  const again = new Link(directory, { unsignedBytesHeld: 8 * MIB }, { keys: KEYS });
  const next = new Feed(SESSION + 1, KEYS);
  again.source.give(next.pass(next.order([STATEMENT], [BLOB])));
  expect(again.verdict('key-ended')).toBe(datagrams.length);
  again.source.give(next.pass({ ...next.order([STATEMENT], [BLOB], 1), asid: 1 }));
  await until(() => again.objects.some(({ digest }) => digest === digestOf(BLOB)));
});

it('a key has an id that is the same whatever its number, and says nothing of its bytes', () => {
  expect(keyOf(5, 'lab', 7).id).toBe(OLD.id);
  expect(OLD.id).not.toBe(NEW.id);
  expect(OLD.id).toMatch(/^[0-9a-f]{64}$/);
  expect(OLD.id).not.toContain('08'.repeat(8));
});
