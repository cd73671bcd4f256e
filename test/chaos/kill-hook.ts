// Loaded into each daemon before it begins (`node --import`): lays places into its modules at which it kills itself with SIGKILL,
// once for each order that lies in the directory $SLUICE_CHAOS_ORDERS. Without an order nothing happens there.
import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { CALL, PLACES, withPlaces } from './places.ts';

const orders = process.env.SLUICE_CHAOS_ORDERS ?? '';
const FILES = new Set(PLACES.map(({ file }) => file));
/** How often a place is passed yet before its order is done. */
const left = new Map<string, number>();

function textOf(source: string | ArrayBuffer | NodeJS.TypedArray | undefined): string {
  if (typeof source === 'string') return source;
  if (!ArrayBuffer.isView(source)) throw new Error('a module of the product is no text');
  return Buffer.from(source.buffer, source.byteOffset, source.byteLength).toString('utf8');
}

registerHooks({
  load: (url, context, next) => {
    const loaded = next(url, context);
    const file = url.split('/packages/').at(-1) ?? '';
    return FILES.has(file) ? { ...loaded, source: withPlaces(textOf(loaded.source), file) } : loaded;
  },
});

Reflect.set(globalThis, CALL, (name: string): void => {
  const order = join(orders, name);
  if (!existsSync(order)) return;
  const before = left.get(name) ?? Number(readFileSync(order, 'utf8'));
  left.set(name, before - 1);
  if (before > 0) return;
  rmSync(order);
  appendFileSync(`${orders}.done`, `${name}\n`);
  process.kill(process.pid, 'SIGKILL');
});
