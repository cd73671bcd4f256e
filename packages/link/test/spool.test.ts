import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { blockBytes, blockOffset, partition } from '@sluice/fec';
import { spoolKey } from '@sluice/transfer';
import { bit, BLOCK_BYTES, bytesOf, digestOf, hand, objectOf } from './samples.ts';
import { scratch, Told, until } from './tools.ts';

const STATEMENT = { contentType: 'application/vnd.dsse.envelope.v1+json' } as const;

/** Runs a process that gathers until it has said that more is on disk, kills it in its next burst, and gives its last word. */
async function gatherAndKill(root: string, size: number): Promise<number> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'gatherer.ts'), root, String(size)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  let said = 0;
  let lines = 0;
  for await (const line of createInterface(child.stdout)) {
    said = Number(line);
    lines += 1;
    if (lines === 2) child.kill('SIGKILL');
  }
  await ended;
  return said;
}

describe('what a kill leaves', () => {
  it('every block that was said to be on disk is there, and every block that is marked holds its bytes', async () => {
    const root = scratch();
    const size = 1000 * BLOCK_BYTES - 7;
    const bytes = bytesOf('gathered', size);
    const info = objectOf(bytes);
    const shape = partition(size, info.symbolBytes, info.maxBlock);
    let before = 0;
    for (let kill = 0; kill < 3; kill += 1) {
      const said = await gatherAndKill(root, size);
      expect(said).toBeGreaterThan(before);
      before = said;
      const [part] = readdirSync(join(root, 'prod')).filter((name) => name.endsWith('.part'));
      const file = readFileSync(join(root, 'prod', part!));
      const opened = new Told(root, { unsignedBytesHeld: 2 * size }).spool.open(info);
      if (typeof opened === 'string') throw new Error(opened);
      const marked = [...Array(shape.blocks).keys()].filter((sbn) => bit(opened.stored, sbn));
      expect(marked.length).toBeGreaterThanOrEqual(said);
      for (const sbn of marked) {
        const offset = blockOffset(shape, sbn);
        const end = offset + blockBytes(shape, sbn);
        expect(file.subarray(offset, end).equals(bytes.subarray(offset, end)), `block ${sbn}`).toBe(true);
      }
    }
    const told = new Told(root, { unsignedBytesHeld: 2 * size });
    const opened = told.spool.open(info);
    if (typeof opened === 'string') throw new Error(opened);
    const stored = opened.stored.slice();
    hand(told.spool, info, bytes, (sbn) => !bit(stored, sbn));
    await until(() => told.whole.length === 1);
    expect(told.contents()).toEqual([info.digest]);
    expect(told.spool.bytes).toBe(size);
  });

  it('an object that was whole is named again, one that was taken is not wanted, one that was forgotten begins anew', async () => {
    const root = scratch();
    const [a, b, c] = [bytesOf('a', 5000), bytesOf('b', 6000), bytesOf('c', 7000)];
    const first = new Told(root);
    for (const bytes of [a, b, c]) first.take(objectOf(bytes), bytes);
    await until(() => first.whole.length === 3);
    await first.spool.settle('prod', spoolKey(objectOf(b)));
    await first.spool.forget('prod', spoolKey(objectOf(c)));
    expect(readdirSync(join(root, 'prod'))).toHaveLength(2);

    const second = new Told(root);
    expect([...second.spool.whole()].map(({ path }) => digestOf(readFileSync(path)))).toEqual([digestOf(a)]);
    expect(second.spool.open(objectOf(a))).toBe('complete');
    expect(second.spool.open(objectOf(b))).toBe('complete');
    expect(second.spool.bytes).toBe(a.length);
    second.take(objectOf(c), c);
    await until(() => second.whole.length === 1);
    expect(second.contents()).toEqual([digestOf(c)]);
  });

  it('a map that was cut short is believed as far as it goes, and a part without a map not at all', async () => {
    const root = scratch();
    const bytes = bytesOf('torn', 40 * BLOCK_BYTES);
    const info = objectOf(bytes);
    const first = new Told(root);
    first.take(info, bytes, (sbn) => sbn !== 20);
    await first.spool.close();
    const map = join(
      root,
      'prod',
      readdirSync(join(root, 'prod')).find((name) => name.endsWith('.map'))!,
    );

    truncateSync(map, 2);
    const torn = new Told(root);
    expect(torn.spool.bytes).toBe(16 * BLOCK_BYTES);
    torn.take(info, bytes, (sbn) => sbn >= 16 && sbn < 30);
    await torn.spool.close();
    rmSync(map);
    const bare = new Told(root);
    expect(bare.spool.bytes).toBe(0);
    bare.take(info, bytes, (sbn) => sbn > 0);
    await bare.spool.close();
    // Longer than any map of ours: what is beyond the last block counts for nothing.
    writeFileSync(map, Buffer.concat([readFileSync(map), Buffer.alloc(100, 255)]));
    const long = new Told(root);
    expect(long.spool.bytes).toBe(39 * BLOCK_BYTES);
    long.take(info, bytes, (sbn) => sbn === 0);
    await until(() => long.whole.length === 1);
    expect(long.contents()).toEqual([info.digest]);
  });

  it('what is left of making a whole file or a mark goes', async () => {
    const root = scratch();
    const bytes = bytesOf('left', 3000);
    const first = new Told(root);
    first.take(objectOf(bytes), bytes);
    await until(() => first.whole.length === 1);
    const whole = first.whole[0]!.path;
    const beside = (state: string): string => whole.replace(/whole$/, state);
    for (const state of ['part', 'map']) writeFileSync(beside(state), 'left');
    expect([...new Told(root).spool.whole()]).toHaveLength(1);
    expect(readdirSync(join(root, 'prod'))).toHaveLength(1);
    for (const state of ['part', 'done']) writeFileSync(beside(state), '');
    const marked = new Told(root);
    expect([...marked.spool.whole()]).toHaveLength(0);
    expect(marked.spool.bytes).toBe(0);
    expect(readdirSync(join(root, 'prod'))).toEqual([beside('done').slice(beside('').lastIndexOf('/') + 1)]);
  });
});

describe('whole blocks', () => {
  it('are held until they are written, then given back, each once', async () => {
    const told = new Told(scratch());
    const bytes = bytesOf('held', 3 * BLOCK_BYTES);
    const info = objectOf(bytes);
    const buffer = Buffer.from(bytes);
    told.spool.open(info);
    const given: number[] = [];
    for (let sbn = 0; sbn < 3; sbn += 1) {
      const [start, end] = [sbn * BLOCK_BYTES, (sbn + 1) * BLOCK_BYTES];
      const release = (): void => {
        given.push(sbn);
        buffer.fill(0, start, end);
      };
      expect(told.spool.block(info, sbn, start, buffer.subarray(start, end), release)).toBe('stored');
    }
    expect(given).toEqual([]);
    await until(() => told.whole.length === 1);
    expect(told.contents()).toEqual([info.digest]);
    expect(given.toSorted()).toEqual([0, 1, 2]);
  });

  it('that come twice count once', async () => {
    const told = new Told(scratch());
    const bytes = bytesOf('twice', 3 * BLOCK_BYTES);
    const info = objectOf(bytes);
    for (let times = 0; times < 3; times += 1) told.take(info, bytes, (sbn) => sbn === 0);
    expect(told.spool.bytes).toBe(BLOCK_BYTES);
    told.take(info, bytes);
    await until(() => told.whole.length === 1);
    expect(told.contents()).toEqual([info.digest]);
  });
});

describe('files of others in the spool', () => {
  it('are left alone, and do not keep it from starting', async () => {
    const root = scratch();
    const directory = join(root, 'prod');
    mkdirSync(directory);
    const hex = 'a'.repeat(64);
    const names = [
      'README',
      `${hex}-100-64-20.blob`,
      `${hex}-0-64-20.blob.part`,
      `${hex}-100-0-20.blob.part`,
      `${hex}-100-63-20.blob.part`,
      `${hex}-100-64-0.blob.whole`,
      `${hex}-100-64-251.blob.whole`,
      `${hex}-9999999999999-64-1.pack.part`,
      `${hex}-1099511627776-64-250.pack.part`,
      `${hex}-00100-64-20.blob.whole`,
      `${hex}-100-64-20.heartbeat.whole`,
      `${hex}-100-64-20.blob.new`,
      `${hex.toUpperCase()}-100-64-20.blob.whole`,
      `.${hex}-100-64-20.blob.whole`,
    ];
    for (const name of names) writeFileSync(join(directory, name), 'x');
    // Names of ours that are no files: nothing is written through a link.
    const bytes = bytesOf('linked', 2000);
    const outside = join(scratch(), 'outside');
    writeFileSync(outside, 'outside');
    symlinkSync(outside, join(directory, `${hex}-200-64-20.statement.whole`));
    mkdirSync(join(directory, `${hex}-300-64-20.statement.map`));
    const told = new Told(root);
    expect([...told.spool.whole()]).toEqual([]);
    expect(told.spool.bytes).toBe(0);
    told.take(objectOf(bytes), bytes);
    await until(() => told.whole.length === 1);
    for (const name of names) expect(existsSync(join(directory, name)), name).toBe(true);
    expect(readFileSync(outside, 'utf8')).toBe('outside');
  });
});

describe('limits', () => {
  it('unsignedBytesHeld bounds what no statement allows, for each channel by itself', async () => {
    const told = new Told(scratch(), { unsignedBytesHeld: 10 * BLOCK_BYTES });
    const bytes = bytesOf('unsigned', 20 * BLOCK_BYTES);
    const info = objectOf(bytes);
    const answers = told.take(info, bytes);
    expect(answers.filter((answer) => answer === 'stored')).toHaveLength(10);
    expect(answers.filter((answer) => answer === 'budget')).toHaveLength(10);
    const lab = objectOf(bytes, { channel: 'lab', asid: 1 });
    expect(told.take(lab, bytes, (sbn) => sbn < 10)).not.toContain('budget');

    told.spool.allow('lab', [info.digest]);
    expect(hand(told.spool, info, bytes, (sbn) => sbn === 10)).toEqual(['budget']);
    told.spool.allow('prod', [info.digest]);
    expect(hand(told.spool, info, bytes, (sbn) => sbn >= 10)).not.toContain('budget');
    // What is allowed leaves the whole of the budget to others.
    const other = bytesOf('other', 11 * BLOCK_BYTES);
    expect(told.take(objectOf(other), other).filter((answer) => answer === 'stored')).toHaveLength(10);
    await until(() => told.whole.length === 1);
    expect(told.contents()).toEqual([info.digest]);
  });

  it('the budget is free again once what was held is taken or forgotten, and not more than that', async () => {
    const told = new Told(scratch(), { unsignedBytesHeld: 4 * BLOCK_BYTES });
    for (const [round, how] of (['settle', 'forget', 'settle', 'forget'] as const).entries()) {
      const bytes = bytesOf(`round ${round}`, 4 * BLOCK_BYTES);
      const more = bytesOf(`more ${round}`, BLOCK_BYTES);
      expect(told.take(objectOf(bytes), bytes)).toEqual(['stored', 'stored', 'stored', 'stored']);
      expect(told.take(objectOf(more), more)).toEqual(['budget']);
      await until(() => told.whole.length === round + 1);
      await told.spool[how]('prod', spoolKey(objectOf(bytes)));
      expect(told.spool.bytes).toBe(0);
    }
  });

  it('statements find room: what no statement has allowed goes for them, and is asked for again', async () => {
    const root = scratch();
    const limits = { unsignedBytesHeld: 8 * BLOCK_BYTES };
    const first = new Told(root, limits);
    const [whole, part, allowed] = ['whole', 'part', 'allowed'].map((name) => bytesOf(name, 6 * BLOCK_BYTES)) as [
      Buffer,
      Buffer,
      Buffer,
    ];
    first.spool.allow('prod', [digestOf(allowed)]);
    first.take(objectOf(allowed), allowed, (sbn) => sbn > 0);
    first.take(objectOf(whole), whole);
    first.take(objectOf(part), part, (sbn) => sbn < 2);
    await until(() => first.whole.length === 1);

    const statement = bytesOf('statement', 3 * BLOCK_BYTES);
    expect(first.take(objectOf(statement, STATEMENT), statement)).toEqual(['stored', 'stored', 'stored']);
    // The oldest goes, and no more than is needed.
    expect(first.lost).toEqual([spoolKey(objectOf(whole))]);
    await until(() => first.whole.length === 2);
    expect(digestOf(readFileSync(first.whole[1]!.path))).toBe(digestOf(statement));
    expect(typeof first.spool.open(objectOf(whole))).toBe('object');
    expect(first.spool.bytes).toBe((5 + 2 + 3) * BLOCK_BYTES);
    // Nor does one statement hold the door against the next.
    const next = bytesOf('next', 8 * BLOCK_BYTES);
    expect(new Set(first.take(objectOf(next, STATEMENT), next))).toEqual(new Set(['stored']));
    const huge = bytesOf('huge', 9 * BLOCK_BYTES);
    expect(first.take(objectOf(huge, STATEMENT), huge)).toContain('budget');
  });

  it('leave lasts until the object is taken: one that was bad comes again under it', async () => {
    const told = new Told(scratch(), { unsignedBytesHeld: 2 * BLOCK_BYTES });
    const bytes = bytesOf('bad once', 5 * BLOCK_BYTES);
    const info = objectOf(bytes);
    told.spool.allow('prod', [info.digest]);
    told.take(info, bytes);
    await until(() => told.whole.length === 1);
    await told.spool.forget('prod', spoolKey(info));
    expect(told.take(info, bytes)).not.toContain('budget');
    await until(() => told.whole.length === 2);
    await told.spool.settle('prod', spoolKey(info));
    await told.spool.forget('prod', spoolKey(info));
    expect(told.take(info, bytes)).toContain('budget');
  });

  it('spoolBytes bounds the whole, allowed or not', async () => {
    const told = new Told(scratch(), { spoolBytes: 6 * BLOCK_BYTES });
    const [a, b] = [bytesOf('a', 4 * BLOCK_BYTES), bytesOf('b', 5 * BLOCK_BYTES)];
    told.spool.allow('prod', [digestOf(a), digestOf(b)]);
    expect(told.spool.open(objectOf(b))).not.toBe('budget');
    told.take(objectOf(a), a);
    expect(hand(told.spool, objectOf(b), b)).toEqual(['stored', 'stored', 'budget', 'budget', 'budget']);
    const c = bytesOf('c', BLOCK_BYTES);
    expect(told.spool.open(objectOf(c))).toBe('budget');
    await until(() => told.whole.length === 1);
    await told.spool.settle('prod', spoolKey(objectOf(a)));
    expect(hand(told.spool, objectOf(b), b, (sbn) => sbn > 1)).toEqual(['stored', 'stored', 'stored']);
  });

  it('queueBytes bounds what waits for the disk; the block is wanted again', async () => {
    const told = new Told(scratch(), { queueBytes: 3 * BLOCK_BYTES });
    const bytes = bytesOf('queued', 5 * BLOCK_BYTES);
    const info = objectOf(bytes);
    expect(told.take(info, bytes)).toEqual(['stored', 'stored', 'stored', 'memory-limit', 'memory-limit']);
    await until(() => told.spool.queuedBytes === 0);
    expect(hand(told.spool, info, bytes, (sbn) => sbn >= 3)).toEqual(['stored', 'stored']);
    await until(() => told.whole.length === 1);
    expect(told.contents()).toEqual([info.digest]);
  });

  it('doneMarks bounds what is remembered, across a restart too: the oldest are forgotten', async () => {
    const root = scratch();
    const all = [...Array(6).keys()].map((n) => bytesOf(`mark ${n}`, 500));
    const first = new Told(root, { doneMarks: 4 });
    for (const [n, bytes] of all.entries()) {
      first.take(objectOf(bytes), bytes);
      await until(() => first.whole.length === n + 1);
      await first.spool.settle('prod', spoolKey(objectOf(bytes)));
    }
    const known = (told: Told): boolean[] => all.map((bytes) => told.spool.open(objectOf(bytes)) === 'complete');
    expect(known(first)).toEqual([false, false, true, true, true, true]);
    await until(() => readdirSync(join(root, 'prod')).length === 4);
    expect(known(new Told(root, { doneMarks: 2 }))).toEqual([false, false, false, false, true, true]);
  });

  it('a mark goes when a statement wants its object again', async () => {
    const told = new Told(scratch());
    const bytes = bytesOf('twice', 3000);
    const info = objectOf(bytes);
    told.take(info, bytes);
    await until(() => told.whole.length === 1);
    await told.spool.settle('prod', spoolKey(info));
    expect(told.spool.open(info)).toBe('complete');
    expect(told.spool.allow('prod', [info.digest])).toEqual([spoolKey(info)]);
    told.take(info, bytes);
    await until(() => told.whole.length === 2);
    expect(told.contents()[1]).toBe(info.digest);
  });
});

describe('a disk that fails', () => {
  it('the directory is gone: an alarm, the blocks are wanted again, and all is well once it is back', async () => {
    const root = scratch();
    const told = new Told(root);
    const bytes = bytesOf('gone', 4 * BLOCK_BYTES);
    const info = objectOf(bytes);
    renameSync(join(root, 'prod'), join(root, 'away'));
    told.take(info, bytes);
    await until(() => told.lost.length > 0 && told.spool.queuedBytes === 0);
    expect(new Set(told.alarms)).toEqual(new Set(['spool-io']));
    expect(new Set(told.lost)).toEqual(new Set([spoolKey(info)]));
    expect(told.spool.bytes).toBe(0);
    expect(told.whole).toEqual([]);
    await told.spool.forget('prod', spoolKey(info));

    renameSync(join(root, 'away'), join(root, 'prod'));
    expect(told.take(info, bytes)).toEqual(['stored', 'stored', 'stored', 'stored']);
    await until(() => told.whole.length === 1);
    expect(told.contents()).toEqual([info.digest]);
  });

  it('an object that cannot be marked as taken raises an alarm, and is named again by the next start', async () => {
    const root = scratch();
    const told = new Told(root);
    const bytes = bytesOf('unmarked', 3000);
    told.take(objectOf(bytes), bytes);
    await until(() => told.whole.length === 1);
    renameSync(join(root, 'prod'), join(root, 'away'));
    await told.spool.settle('prod', spoolKey(objectOf(bytes)));
    expect(told.alarms).toEqual(['spool-io']);
    expect(told.spool.open(objectOf(bytes))).toBe('complete');
    renameSync(join(root, 'away'), join(root, 'prod'));
    expect([...new Told(root).spool.whole()]).toHaveLength(1);
  });

  it('blocks that are lost while their object is forgotten are counted once', async () => {
    const root = scratch();
    const told = new Told(root);
    const bytes = bytesOf('lost twice', 4 * BLOCK_BYTES);
    renameSync(join(root, 'prod'), join(root, 'away'));
    told.take(objectOf(bytes), bytes);
    await told.spool.forget('prod', spoolKey(objectOf(bytes)));
    await told.spool.close();
    expect(told.spool.bytes).toBe(0);
  });
});
