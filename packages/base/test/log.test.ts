import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  createJsonLogger,
  LOG_TEXT_MAX,
  oneLine,
  RATE_LIMITED_KEYS_MAX,
  rateLimited,
  type Logger,
} from '../src/index.ts';

const lines: string[] = [];
const records = (): Record<string, unknown>[] => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
const logger = (): Logger => createJsonLogger('link', { write: (line) => lines.push(line), now: () => 1700000000000 });

beforeEach(() => {
  lines.length = 0;
});

describe('the JSON logger', () => {
  it("writes pino's line shape", () => {
    logger().child({ session: 7 }).warn({ code: 'bad-tag' }, 'refused');
    logger().debug('not at this level');
    expect(lines[0]?.endsWith('\n')).toBe(true);
    expect(records()).toEqual([
      {
        level: 40,
        time: 1700000000000,
        pid: process.pid,
        hostname: hostname(),
        name: 'link',
        session: 7,
        code: 'bad-tag',
        msg: 'refused',
      },
    ]);
  });

  it('prints errors with their cause, and bigints, bytes and deep values within bounds', () => {
    const err = new Error('outer', { cause: Object.assign(new Error('inner'), { code: 'EIO' }) });
    logger().error({ err, sn: 5n, key: new Uint8Array(32), deep: { a: { b: { c: { d: 1 } } } } }, 'failed');
    const [record] = records();
    expect(record).toMatchObject({
      err: { type: 'Error', message: 'outer', cause: { message: 'inner', code: 'EIO' } },
    });
    expect(record).toMatchObject({ sn: '5', key: '32 bytes', deep: { a: { b: { c: '...' } } } });
  });

  it('lets no foreign text drive a terminal or fill the log', () => {
    logger().info({ path: `a\u009b2J\u202eb${'x'.repeat(10_000)}\n` }, 'hostile\u001b[2J');
    expect(lines[0]).not.toMatch(/[^\u0020-\u007e\n]/);
    expect(lines[0]?.length).toBeLessThan(LOG_TEXT_MAX + 400);
    expect(records()[0]).toMatchObject({ msg: 'hostile\u001b[2J' });
  });

  it('makes one line of foreign text', () => {
    expect(oneLine('a\r\n\u001b[1mb\u2028c\u202e', 40)).toBe('a \\u001b[1mb c\\u202e');
    expect(oneLine('abcdef', 3)).toBe('abc... (3 more)');
  });
});

describe('a rate-limited logger', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('writes the first, counts the repeats, and goes quiet', () => {
    const limited = rateLimited(logger(), { intervalMs: 1000 });
    for (let n = 1; n <= 5; n += 1) limited.warn({ n }, 'refused');
    limited.warn('another');
    expect(records().map(({ msg, n }) => [msg, n])).toEqual([
      ['refused', 1],
      ['another', undefined],
    ]);
    vi.advanceTimersByTime(1000);
    expect(records().at(-1)).toMatchObject({ msg: 'refused', n: 5, repeated: 4 });
    limited.warn({ n: 6 }, 'refused');
    expect(lines).toHaveLength(3);
    vi.advanceTimersByTime(1000);
    expect(records().at(-1)).toMatchObject({ n: 6, repeated: 1 });
    vi.advanceTimersByTime(5000);
    expect(lines).toHaveLength(4);
  });

  it('keeps count of a bounded number of messages and can be flushed', () => {
    const limited = rateLimited(logger());
    limited.info('first');
    limited.info('first');
    for (let n = 0; n < RATE_LIMITED_KEYS_MAX; n += 1) limited.info(`message ${n}`);
    expect(records().filter(({ repeated }) => repeated === 1)).toMatchObject([{ msg: 'first' }]);
    limited.info('message 9');
    limited.flush();
    expect(records().at(-1)).toMatchObject({ msg: 'message 9', repeated: 1 });
    expect(vi.getTimerCount()).toBe(0);
  });
});
