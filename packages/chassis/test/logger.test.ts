import { createJsonLogger, LOG_TEXT_MAX, type Logger } from '@sluice/base';
import { describe, expect, it } from 'vitest';
import { createLogger } from '../src/index.ts';

describe('the pino logger', () => {
  it('writes the same line as the logger without third-party code', () => {
    const lines: Record<string, unknown>[] = [];
    const write = (line: string): void => void lines.push({ ...(JSON.parse(line) as object), time: 0 });
    const say = (logger: Logger): void => {
      const child = logger.child({ session: 7 });
      child.warn({ code: 'bad-tag', sn: 5n, deep: { a: { b: { c: { d: 1 } } } } }, 'refused %s');
      child.info(`long ${'x'.repeat(LOG_TEXT_MAX)}`);
      child.debug('not at this level');
    };
    say(createLogger('receiver', { write }));
    say(createJsonLogger('receiver', { write }));
    expect(lines).toHaveLength(4);
    expect(lines.slice(0, 2)).toEqual(lines.slice(2));
  });

  it('prints errors, and lets no foreign text drive a terminal', () => {
    const lines: string[] = [];
    const logger = createLogger('receiver', { write: (line) => lines.push(line), level: 'debug' });
    logger.debug({ err: Object.assign(new Error('a\u009b2J'), { code: 'EIO' }), name: '\u202ex' }, 'failed \u2028');
    expect(lines[0]).not.toMatch(/[^\u0020-\u007e\n]/);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 20,
      err: { message: 'a\u009b2J', code: 'EIO' },
      msg: 'failed \u2028',
    });
  });
});
