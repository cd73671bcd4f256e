// Compiles kernel.ts into ../src/kernel.wasm.ts, which is committed: `node packages/fec/kernel/build.ts`. A test compiles
// again and wants the same bytes.
import { readFileSync, writeFileSync } from 'node:fs';
import { main as compile } from 'assemblyscript/asc';

const SOURCE = 'kernel.ts';
export const TARGET = new URL('../src/kernel.wasm.ts', import.meta.url);

/** One kernel for runtimes with these WebAssembly features, in base64. */
async function build(features: string): Promise<string> {
  let wasm: Uint8Array | undefined;
  const { error, stderr } = await compile(
    [
      SOURCE,
      '--outFile',
      'kernel.wasm',
      '-O3',
      '--runtime',
      'stub',
      '--noAssert',
      '--importMemory',
      '--enable',
      features,
    ],
    {
      readFile: (name) => (name === SOURCE ? readFileSync(new URL(SOURCE, import.meta.url), 'utf8') : null),
      writeFile: (_name, contents) => {
        if (contents instanceof Uint8Array) wasm = contents;
      },
      listFiles: () => [],
    },
  );
  if (error !== null || wasm === undefined) throw new Error(`asc did not compile ${SOURCE}:\n${stderr.toString()}`);
  return Buffer.from(wasm).toString('base64');
}

/** The text of the generated module. */
export async function generate(): Promise<string> {
  return `// Generated from kernel/kernel.ts by kernel/build.ts.

/** With \`i8x16.relaxed_swizzle\`. */
export const RELAXED_SIMD_KERNEL =
  '${await build('simd,relaxed-simd')}';

/** With \`i8x16.swizzle\`. */
export const SIMD_KERNEL =
  '${await build('simd')}';
`;
}

if (import.meta.main) writeFileSync(TARGET, await generate());
