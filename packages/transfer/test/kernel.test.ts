import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

// The build script is AssemblyScript's side of the house, outside the compiler's view.
const BUILD = new URL('../kernel/build.ts', import.meta.url).href;

it('the committed kernel is what its source compiles to', async () => {
  const { generate, TARGET } = (await import(BUILD)) as { generate: () => Promise<string>; TARGET: URL };
  expect(await generate()).toBe(readFileSync(TARGET, 'utf8'));
});
