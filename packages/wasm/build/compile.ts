import { readFileSync } from 'node:fs';
import { main as compile } from 'assemblyscript/asc';

/** Kernels import a shared memory of any size up to this many pages: all that an address of 32 bits reaches. */
const PAGES_MAX = '65536';

/** Compiles one AssemblyScript file to WebAssembly, in base64. `features` as the compiler names them, beside `threads`. */
export async function compileKernel(source: URL, features: readonly string[] = []): Promise<string> {
  const name = source.pathname.slice(source.pathname.lastIndexOf('/') + 1);
  let wasm: Uint8Array | undefined;
  const memory = ['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', PAGES_MAX];
  const { error, stderr } = await compile(
    [
      name,
      '--outFile',
      'kernel.wasm',
      '-O3',
      '--runtime',
      'stub',
      '--noAssert',
      ...memory,
      ...['threads', ...features].flatMap((feature) => ['--enable', feature]),
    ],
    {
      readFile: (wanted) => (wanted === name ? readFileSync(source, 'utf8') : null),
      writeFile: (_name, contents) => {
        if (contents instanceof Uint8Array) wasm = contents;
      },
      listFiles: () => [],
    },
  );
  if (error !== null || wasm === undefined) throw new Error(`asc did not compile ${name}:\n${stderr.toString()}`);
  return Buffer.from(wasm).toString('base64');
}
