import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

/** Says how many of ten objects, which have become old and are nobody's, are left within some seconds. */
const PROGRAM = `
  const { collectGarbage } = await import(${JSON.stringify(join(import.meta.dirname, '../src/heap.ts'))});
  let held = Array.from({ length: 10 }, () => ({ some: 'thing' }));
  const refs = held.map((each) => new WeakRef(each));
  for (let i = 0; i < 3; i += 1) globalThis.gc?.();
  const left = () => refs.filter((ref) => ref.deref() !== undefined).length;
  await new Promise((resolve) => setTimeout(resolve, 10));
  const before = left();
  held = [];
  const stop = collectGarbage(20);
  for (let i = 0; i < 200 && left() > 0; i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
  stop();
  console.log(before, left());
`;

const said = (...flags: readonly string[]): string => {
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', PROGRAM], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return stdout;
};

describe('garbage', () => {
  it('that has become old is collected though nobody asks for memory, where Node lets us', () => {
    expect(said('--expose-gc')).toBe('10 0\n');
    expect(said()).toBe('10 10\n');
  });
});
