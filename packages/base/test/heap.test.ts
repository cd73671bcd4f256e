import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

/** Begins to collect every 20 ms, and gives how to stop it. */
const EVERY = 'collectGarbage(20)';
const leisureOf = (ms: number): string =>
  `(() => { const at = collectAtLeisure(20); const timer = setInterval(() => at(${ms}), 5); return () => clearInterval(timer); })()`;

/** Says how many of ten objects, which have become old and are nobody's, are left within some seconds. */
const programOf = (begin: string): string => `
  const { collectAtLeisure, collectGarbage } = await import(${JSON.stringify(join(import.meta.dirname, '../src/heap.ts'))});
  let held = Array.from({ length: 10 }, () => ({ some: 'thing' }));
  const refs = held.map((each) => new WeakRef(each));
  for (let i = 0; i < 3; i += 1) globalThis.gc?.();
  const left = () => refs.filter((ref) => ref.deref() !== undefined).length;
  await new Promise((resolve) => setTimeout(resolve, 10));
  const before = left();
  held = [];
  const stop = ${begin};
  for (let i = 0; i < 100 && left() > 0; i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
  stop();
  console.log(before, left());
`;

const said = (begin: string, ...flags: readonly string[]): string => {
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', programOf(begin)], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return stdout;
};

describe('garbage', () => {
  it('that has become old is collected though nobody asks for memory, where Node lets us', () => {
    expect(said(EVERY, '--expose-gc')).toBe('10 0\n');
    expect(said(EVERY)).toBe('10 10\n');
  });

  it(
    'is collected in a thread that must not be late when it has nothing to do, and else not',
    { timeout: 30_000 },
    () => {
      expect(said(leisureOf(50), '--expose-gc')).toBe('10 0\n');
      expect(said(leisureOf(49), '--expose-gc')).toBe('10 10\n');
      expect(said(leisureOf(50))).toBe('10 10\n');
    },
  );

  it('is collected before what is to follow it is called', { timeout: 30_000 }, () => {
    const program = `
      const { collectGarbage } = await import(${JSON.stringify(join(import.meta.dirname, '../src/heap.ts'))});
      let calls = 0;
      collectGarbage(20, () => { calls += 1; });
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const early = calls;
      await new Promise((resolve) => setTimeout(resolve, 2500));
      console.log(early, calls > 0);
    `;
    const run = (...flags: readonly string[]): string =>
      spawnSync(process.execPath, [...flags, '--input-type=module', '-e', program], { encoding: 'utf8' }).stdout;
    expect(run('--expose-gc')).toBe('0 true\n');
    expect(run()).toBe('0 false\n');
  });
});
