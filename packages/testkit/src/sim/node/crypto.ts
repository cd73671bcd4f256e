// In the place of `node:crypto` for the code that runs in a world: all of it, but names come from the world's own chance.
import { kernel } from '../kernel.ts';

export * from 'node:crypto';

export function randomUUID(): string {
  const hex = Buffer.from(kernel().random.bytes(16)).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
