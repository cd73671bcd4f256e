import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OperationalError } from '@sluice/ports';
import { SessionFile } from '../src/session-file.ts';
import { scratch } from './tools.ts';

const NAME = 'highest-live-tsi';

describe('the highest session accepted', () => {
  it('is 0 on a new machine, and what was written last after a restart', () => {
    const directory = join(scratch(), 'state');
    expect(new SessionFile(directory).read()).toBe(0);
    new SessionFile(directory).write(189_000_000);
    new SessionFile(directory).write(189_000_001);
    expect(new SessionFile(directory).read()).toBe(189_000_001);
    new SessionFile(directory).write(2 ** 30 - 1);
    expect(new SessionFile(directory).read()).toBe(2 ** 30 - 1);
    expect(readdirSync(directory)).toEqual([NAME]);
  });

  it('never goes back, whoever writes', () => {
    const directory = scratch();
    const file = new SessionFile(directory);
    file.write(1000);
    file.write(999);
    new SessionFile(directory).write(5);
    expect(file.read()).toBe(1000);
  });

  it('survives a crash in the middle of writing the next', () => {
    const directory = scratch();
    new SessionFile(directory).write(1000);
    writeFileSync(join(directory, `${NAME}.new`), '20');
    expect(new SessionFile(directory).read()).toBe(1000);
    new SessionFile(directory).write(1001);
    expect(readFileSync(join(directory, NAME), 'utf8')).toBe('1001\n');
    expect(readdirSync(directory)).toEqual([NAME]);
  });

  it('a damaged file is an error that names the file and what to do, never a session', () => {
    const damages = ['', '\n', 'x', '12a', '-1', '1.5', '1e3', '0x10', '1073741824', '99999999999', '1 2', '\0\0\0\0'];
    for (const text of damages) {
      const directory = scratch();
      writeFileSync(join(directory, NAME), text);
      const read = (): number => new SessionFile(directory).read();
      expect(read, JSON.stringify(text)).toThrow(OperationalError);
      expect(read).toThrow(`${join(directory, NAME)} does not hold a session number; remove it`);
      // Nor is it overwritten: an operator must look first.
      expect(() => {
        new SessionFile(directory).write(7);
      }).toThrow(OperationalError);
      expect(readFileSync(join(directory, NAME), 'utf8')).toBe(text);
    }
    const directory = scratch();
    mkdirSync(join(directory, NAME));
    expect(() => new SessionFile(directory).read()).toThrow('EISDIR');
  });
});
