import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { spoolKey } from '@sluice/transfer';
import { Feed, keyOf, Link } from './feed.ts';
import { bytesOf, digestOf } from './samples.ts';
import { scratch, until } from './tools.ts';

const MIB = 2 ** 20;
const SESSION = 200_000_000;
const STATEMENT = bytesOf('statement', 900);
const BLOB = bytesOf('blob', 3 * MIB);
const KEY = spoolKey({ digest: digestOf(BLOB), size: BLOB.length, symbolBytes: 1408, maxBlock: 200 });

describe('from datagrams to files', () => {
  it('brings each object whole, through loss and in any order, and names it once', async () => {
    const link = new Link(scratch(), { unsignedBytesHeld: 4 * MIB });
    const feed = new Feed(SESSION);
    const datagrams = feed.pass(feed.order([STATEMENT], [BLOB])).filter((_, i) => i % 23 !== 3);
    link.source.give(datagrams.reverse());
    await until(() => link.objects.length === 2);
    const [blob] = link.objects.filter(({ digest }) => digest === digestOf(BLOB));
    const [statement] = link.objects.filter(({ digest }) => digest === digestOf(STATEMENT));
    expect(blob).toMatchObject({
      channel: 'prod',
      key: KEY,
      size: BLOB.length,
      contentType: 'application/octet-stream',
    });
    expect(statement?.contentType).toBe('application/vnd.dsse.envelope.v1+json');
    for (const { path, digest } of link.objects) expect(digestOf(readFileSync(path))).toBe(digest);

    // A second pass in another session has nothing to add.
    const again = new Feed(SESSION + 1);
    link.source.give(again.pass(again.order([STATEMENT], [BLOB], 1)));
    expect(link.objects).toHaveLength(2);
    expect(link.pipeline.machine.counters.recoveredSymbols).toBeGreaterThan(0);
  });

  it('an object that is settled is not gathered again, one that is forgotten is, with the next pass', async () => {
    const link = new Link(scratch(), { unsignedBytesHeld: 4 * MIB });
    const feed = new Feed(SESSION);
    link.source.give(feed.pass(feed.order([STATEMENT], [BLOB])));
    await until(() => link.objects.length === 2);
    const { key, path } = link.objects.find(({ digest }) => digest === digestOf(STATEMENT))!;
    await link.pipeline.obey({ type: 'settle', channel: 'prod', key });
    await link.pipeline.obey({ type: 'forget', channel: 'prod', key: KEY });
    expect(() => readFileSync(path)).toThrow('ENOENT');
    expect([...link.pipeline.whole()]).toEqual([]);

    link.source.give(feed.pass(feed.order([STATEMENT], [BLOB], 1)));
    await until(() => link.objects.length === 3);
    expect(link.objects[2]?.digest).toBe(digestOf(BLOB));
    expect(digestOf(readFileSync(link.objects[2]!.path))).toBe(digestOf(BLOB));
    // Wanted by another bundle: it comes once more.
    await link.pipeline.obey({ type: 'settle', channel: 'prod', key: KEY });
    await link.pipeline.obey({ type: 'allow', channel: 'prod', digests: [digestOf(BLOB)] });
    link.source.give(feed.pass(feed.order([STATEMENT], [BLOB], 2)));
    await until(() => link.objects.length === 4);
  });

  it('an object that was taken before and is wanted anew comes with the very pass that is on air', async () => {
    const link = new Link(scratch(), { unsignedBytesHeld: 4 * MIB });
    const feed = new Feed(SESSION);
    link.source.give(feed.pass(feed.order([STATEMENT], [BLOB])));
    await until(() => link.objects.length === 2);
    await link.pipeline.obey({ type: 'settle', channel: 'prod', key: KEY });
    const datagrams = feed.pass(feed.order([STATEMENT], [BLOB], 1));
    // Its FDT and some symbols are here before the receiver has read the statements.
    const early = Math.floor(datagrams.length / 20);
    link.source.give(datagrams.slice(0, early));
    await link.pipeline.obey({ type: 'allow', channel: 'prod', digests: [digestOf(BLOB)] });
    link.source.give(datagrams.slice(early));
    await until(() => link.objects.length === 3);
    expect(link.objects[2]?.digest).toBe(digestOf(BLOB));
  });

  it('messages about objects that are not there change nothing', async () => {
    const link = new Link(scratch());
    for (const key of ['', '../../etc/passwd', KEY]) {
      await link.pipeline.obey({ type: 'settle', channel: 'prod', key });
      await link.pipeline.obey({ type: 'forget', channel: 'nowhere', key });
    }
    expect(link.said).toEqual([]);
  });

  it('heartbeats go on to the receiver with the time of the sender', () => {
    const link = new Link(scratch());
    link.source.give(new Feed(SESSION).heartbeat('{"v":1}'));
    const [heartbeat] = link.said.filter((message) => message.type === 'heartbeat');
    expect(heartbeat).toEqual({
      type: 'heartbeat',
      channel: 'prod',
      tsi: SESSION,
      senderNtp: (1_800_000_000 + 2_208_988_800) % 2 ** 32,
      body: '{"v":1}',
    });
  });
});

describe('a chunk log that cannot be written', () => {
  it('is an alarm once a second while it lasts, and stops nothing', async () => {
    const directory = scratch();
    const link = new Link(directory, {}, { mode: 'full' });
    const codes = (): string[] => link.said.flatMap((message) => (message.type === 'alarm' ? [message.code] : []));
    link.pipeline.tick();
    expect(codes()).toEqual([]);
    const feed = new Feed(SESSION);
    // There is no such directory.
    link.source.give(feed.pass(feed.order([STATEMENT], [])));
    await link.chunkLog.flush();
    for (let i = 0; i < 2; i += 1) link.pipeline.tick();
    expect(codes()).toEqual(['chunk-log-io', 'chunk-log-io']);
    await until(() => link.objects.length === 1);
    mkdirSync(join(directory, 'log'));
    await link.chunkLog.flush();
    link.pipeline.tick();
    expect(codes()).toHaveLength(2);
    await link.chunkLog.close();
  });
});

describe('what a restart remembers', () => {
  it('blocks of a pass that was cut off: the next pass, of another session, brings only what is missing', async () => {
    const directory = scratch();
    const feed = new Feed(SESSION);
    const datagrams = feed.pass(feed.order([STATEMENT], [BLOB]));
    const first = new Link(directory, { unsignedBytesHeld: 4 * MIB });
    first.source.give(datagrams.slice(0, Math.floor(datagrams.length * 0.97)).filter((_, i) => i % 13 !== 1));
    await first.pipeline.spool.close();
    const held = first.pipeline.spool.bytes;
    expect(held).toBeGreaterThan(0);
    expect(held).toBeLessThan(BLOB.length + STATEMENT.length);

    const second = new Link(directory, { unsignedBytesHeld: 4 * MIB });
    expect(second.pipeline.spool.bytes).toBe(held);
    const next = new Feed(SESSION + 1);
    second.source.give(next.pass(next.order([STATEMENT], [BLOB], 1)));
    await until(() => second.objects.some(({ digest }) => digest === digestOf(BLOB)));
    expect(digestOf(readFileSync(second.objects.find(({ key }) => key === KEY)!.path))).toBe(digestOf(BLOB));
    expect(second.pipeline.machine.counters.blocks).toBeLessThan(Math.ceil(BLOB.length / 1408 / 200));
  });

  it('the highest session: an older one is refused, with an alarm once a second, and brings nothing', async () => {
    const directory = scratch();
    const first = new Link(directory);
    first.source.give(new Feed(SESSION).heartbeat('{}'));
    expect(readFileSync(join(directory, 'state/highest-live-tsi'), 'utf8')).toBe(`${SESSION}\n`);

    const second = new Link(directory);
    const old = new Feed(SESSION - 1);
    link(old);
    link(old);
    expect(second.verdict('old-session')).toBeGreaterThan(0);
    const alarms = (): string[] =>
      second.said.flatMap((message) => (message.type === 'alarm' ? [`${message.code}: ${message.detail}`] : []));
    expect(alarms()).toHaveLength(1);
    expect(alarms()[0]).toMatch(/^epoch-went-back: .*restored from a backup/);
    second.pipeline.tick();
    link(old);
    expect(alarms()).toHaveLength(2);
    expect(second.objects).toEqual([]);
    expect(second.pipeline.machine.highestLive).toBe(SESSION);

    // The same session goes on, and so does the next.
    const same = new Feed(SESSION);
    second.source.give(same.pass(same.order([STATEMENT], [])));
    await until(() => second.objects.length === 1);

    function link(feed: Feed): void {
      second.source.give(feed.pass(feed.order([STATEMENT], [])));
    }
  });

  it('how far the live session was followed: recorded datagrams of it are no news, what came since is', async () => {
    const directory = scratch();
    const first = new Link(directory);
    const feed = new Feed(SESSION);
    const recorded = feed.heartbeat('{"recorded":1}');
    first.source.give(recorded);
    first.pipeline.tick();
    const { sn = 0 } = first.pipeline.machine.seen ?? {};
    expect(sn).toBeGreaterThan(0);
    await until(() => existsSync(join(directory, 'state/highest-live-sn')));
    const second = new Link(directory);
    second.source.give(recorded);
    expect(second.said.filter((message) => message.type === 'heartbeat')).toEqual([]);
    expect(second.verdict('replayed')).toBe(recorded.length);
    second.source.give(feed.heartbeat('{"later":1}'));
    expect(second.said.filter((message) => message.type === 'heartbeat')).toHaveLength(1);
    // What was not seen before the restart is not counted as lost after it.
    expect(second.pipeline.machine.lost).toBe(0);
    // Another session begins with nothing behind it.
    const third = new Link(directory);
    third.source.give(new Feed(SESSION + 1).heartbeat('{}'));
    expect(third.said.filter((message) => message.type === 'heartbeat')).toHaveLength(1);
  });

  it('a session that cannot be written down is received all the same, with an alarm, until it can', async () => {
    const directory = scratch();
    const link = new Link(directory);
    renameSync(join(directory, 'state'), join(directory, 'away'));
    const feed = new Feed(SESSION);
    link.source.give(feed.pass(feed.order([STATEMENT], [])));
    await until(() => link.objects.length === 1);
    const alarms = (): string[] => link.said.flatMap((message) => (message.type === 'alarm' ? [message.code] : []));
    expect(alarms()).toEqual(['session-unwritten']);
    link.pipeline.tick();
    expect(alarms()).toEqual(['session-unwritten', 'session-unwritten']);
    renameSync(join(directory, 'away'), join(directory, 'state'));
    link.pipeline.tick();
    link.pipeline.tick();
    expect(alarms()).toHaveLength(2);
    expect(readFileSync(join(directory, 'state/highest-live-tsi'), 'utf8')).toBe(`${SESSION}\n`);
  });

  it('a media session neither replaces the live one nor is written down', () => {
    const directory = scratch();
    const link = new Link(directory);
    link.source.give(new Feed(SESSION).heartbeat('{}'));
    link.source.give(new Feed(2 ** 30 + 900_000_000).heartbeat('{}'));
    // Nor does a heartbeat in it say that the sender lives.
    expect(link.said.filter((message) => message.type === 'heartbeat')).toHaveLength(1);
    expect(readFileSync(join(directory, 'state/highest-live-tsi'), 'utf8')).toBe(`${SESSION}\n`);
    expect(link.pipeline.machine.highestLive).toBe(SESSION);
  });
});

describe('what has no leave', () => {
  it('blobs beyond unsignedBytesHeld are dropped and counted until a statement allows them; a later pass brings them', async () => {
    const link = new Link(scratch(), { unsignedBytesHeld: MIB });
    const feed = new Feed(SESSION);
    link.source.give(feed.pass(feed.order([], [BLOB])));
    expect(link.verdict('budget')).toBeGreaterThan(0);
    expect(link.pipeline.spool.bytes).toBeLessThanOrEqual(MIB);
    expect(link.objects).toEqual([]);

    // The statement comes in although the budget is used up.
    link.source.give(feed.pass(feed.order([STATEMENT], [])));
    await until(() => link.objects.length === 1);
    await link.pipeline.obey({ type: 'allow', channel: 'prod', digests: [digestOf(BLOB)] });
    link.source.give(feed.pass(feed.order([STATEMENT], [BLOB], 1)));
    await until(() => link.objects.length === 2);
    expect(digestOf(readFileSync(link.objects[1]!.path))).toBe(digestOf(BLOB));
  });

  it('what a key of another channel or a wrong key sends never touches the objects of this one', async () => {
    const link = new Link(scratch(), { unsignedBytesHeld: 4 * MIB });
    const foreign = new Feed(SESSION, [keyOf(0, 'prod', 77)]);
    link.source.give(foreign.pass(foreign.order([STATEMENT], [BLOB])));
    expect(link.said).toEqual([]);
    expect(link.verdict('bad-tag')).toBeGreaterThan(2000);
    expect(link.pipeline.spool.bytes).toBe(0);
    expect(link.pipeline.machine.highestLive).toBe(0);

    const feed = new Feed(SESSION);
    const lab = { ...feed.order([], [BLOB]), asid: 1 };
    link.source.give(feed.pass(lab));
    await until(() => link.objects.length === 1);
    expect(link.objects[0]?.channel).toBe('lab');
    expect(link.objects[0]?.path).toContain('/lab/');
    link.source.give(feed.pass(feed.order([STATEMENT], [BLOB])));
    await until(() => link.objects.length === 3);
    expect(link.objects.filter(({ channel }) => channel === 'prod')).toHaveLength(2);
  });
});
