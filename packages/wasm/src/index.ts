export { Arena } from './arena.ts';
export type { WebAssemblyMemory } from './host.ts';
export { openKernel } from './kernel.ts';
