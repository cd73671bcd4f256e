// Compiles kernel.ts into ../src/kernel.wasm.ts, which is committed: `node packages/transfer/kernel/build.ts`. A test
// compiles again and wants the same bytes.
import { writeFileSync } from 'node:fs';
import { compileKernel } from '../../wasm/build/compile.ts';

export const TARGET = new URL('../src/kernel.wasm.ts', import.meta.url);

/** The text of the generated module. */
export async function generate(): Promise<string> {
  return `// Generated from kernel/kernel.ts by kernel/build.ts.
export const LINK_KERNEL =
  '${await compileKernel(new URL('kernel.ts', import.meta.url), ['bulk-memory'])}';
`;
}

if (import.meta.main) writeFileSync(TARGET, await generate());
