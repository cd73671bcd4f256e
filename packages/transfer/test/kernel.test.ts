import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

// Imported by a name that the compiler does not follow: assemblyscript's types declare globals of their own.
const BUILD = new URL('../kernel/build.ts', import.meta.url).href;
interface Build {
  readonly TARGET: URL;
  readonly generate: () => Promise<string>;
}

it('src/kernel.wasm.ts is what kernel/kernel.ts builds to', async () => {
  const { generate, TARGET } = (await import(BUILD)) as Build;
  expect(await generate()).toBe(readFileSync(TARGET, 'utf8'));
});
