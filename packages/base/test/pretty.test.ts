import { OperationalError } from '@sluice/ports';
import { describe, expect, it } from 'vitest';
import { createJsonLogger, prettyLine } from '../src/index.ts';

/** What a logger wrote, as people see it. */
function shown(log: (logger: ReturnType<typeof createJsonLogger>) => void): string {
  const lines: string[] = [];
  log(createJsonLogger('receiver', { write: (line) => lines.push(line), now: () => 1_790_000_000_123 }));
  return lines.map(prettyLine).join('\n');
}

const BUNDLE = `sha256:${'ab'.repeat(32)}`;

describe('the pretty form of a log line', () => {
  it('has time, level, process, message, and fields with digests cut', () => {
    expect(shown((log) => log.info({ bundle: BUNDLE, channel: 'prod', sequence: 7 }, 'published'))).toBe(
      '2026-09-21 14:13:20.123 INFO  receiver published bundle=sha256:abababababab channel=prod sequence=7',
    );
    expect(shown((log) => log.warn('short'))).toBe('2026-09-21 14:13:20.123 WARN  receiver short');
    expect(shown((log) => log.child({ attempt: 2 }).error({ why: 'two words', n: [1, { a: 'b' }] }, 'x'))).toBe(
      '2026-09-21 14:13:20.123 ERROR receiver x attempt=2 why="two words" n=[1,{"a":"b"}]',
    );
  });

  it('says of an error of the world its sentence and code, of ours where it was made', () => {
    const world = new OperationalError('store-full', 'the disk is full', { retryable: true });
    expect(
      shown((log) => log.error({ err: world }, 'a step failed'))
        .split('\n')
        .slice(1),
    ).toEqual(['  OperationalError: the disk is full (store-full)']);
    const [, first, ...frames] = shown((log) => log.error({ err: new TypeError('no such thing') }, 'x')).split('\n');
    expect(first).toBe('  TypeError: no such thing');
    expect(frames[0]).toMatch(/^ {4}at .*pretty\.test\.ts/);
    expect(frames.length).toBeLessThanOrEqual(8);
  });

  it('lets nothing through that a terminal would obey, and leaves what is no line of ours', () => {
    const evil = '\u001b[2J\u202eevil';
    const text = shown((log) => log.info({ [evil]: evil, err: Object.assign(new Error(evil), { code: evil }) }, evil));
    expect(text).not.toContain('\u001b');
    expect(text).not.toContain('\u202e');
    expect(text).toContain('\\u001b[2J\\u202eevil');
    expect(prettyLine('plain \u001b[31mtext\n')).toBe('plain \\u001b[31mtext');
    expect(prettyLine('{"level":30}')).toBe('{"level":30}');
    expect(prettyLine('{broken')).toBe('{broken');
  });
});
