import type { Arena } from './arena.ts';
import { webAssembly } from './host.ts';

/**
 * The exports of a kernel over this arena's memory; undefined where the runtime has no WebAssembly, or not the features
 * that this build of the kernel needs.
 * @param base64 what `compileKernel` made
 */
export function openKernel(base64: string, { memory }: Arena, imports: object = {}): unknown {
  const host = webAssembly();
  if (host === undefined || memory === undefined) return undefined;
  const bytes = Uint8Array.fromBase64(base64);
  if (!host.validate(bytes)) return undefined;
  return new host.Instance(new host.Module(bytes), { env: { memory, ...imports } }).exports;
}
