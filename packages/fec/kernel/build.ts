// Compiles kernel.ts into ../src/kernel.wasm.ts, which is committed: `node packages/fec/kernel/build.ts`. A test compiles
// again and wants the same bytes.
import { writeFileSync } from 'node:fs';
import { compileKernel } from '../../wasm/build/compile.ts';

const SOURCE = new URL('kernel.ts', import.meta.url);
export const TARGET = new URL('../src/kernel.wasm.ts', import.meta.url);

/** The text of the generated module. */
export async function generate(): Promise<string> {
  return `// Generated from kernel/kernel.ts by kernel/build.ts.

/** With \`i8x16.relaxed_swizzle\`. */
export const RELAXED_SIMD_KERNEL =
  '${await compileKernel(SOURCE, ['simd', 'relaxed-simd'])}';

/** With \`i8x16.swizzle\`. */
export const SIMD_KERNEL =
  '${await compileKernel(SOURCE, ['simd'])}';
`;
}

if (import.meta.main) writeFileSync(TARGET, await generate());
