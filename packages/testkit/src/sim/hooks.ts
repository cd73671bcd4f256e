import { registerHooks } from 'node:module';
import type { Plant } from './plants.ts';

/** The packages whose code runs in a world. */
const RUNS = /\/packages\/((link|receiver|store|importer|ledger|sender)\/src\/|base\/src\/config\/key-file)/;

/** What they find in the place of Node's own modules, and of two of ours. */
const STAND_INS: Readonly<Record<string, string>> = {
  'node:fs': './node/fs.ts',
  'node:fs/promises': './node/fs-promises.ts',
  'node:worker_threads': './node/worker-threads.ts',
  'node:sqlite': './node/sqlite.ts',
  'node:crypto': './node/crypto.ts',
  'node:child_process': './node/child-process.ts',
  '@sluice/fec': './node/fec.ts',
  '@sluice/trust': './node/trust.ts',
};

/**
 * Makes every module of the daemons that is loaded from now on import the simulated ports where it asks for Node's; with a plant,
 * also with one bug in it. Only this process is touched: the product has no switch for either.
 */
export function installHooks(plant: Plant | undefined): void {
  registerHooks({
    resolve: (specifier, context, next) => {
      const standIn = STAND_INS[specifier];
      if (standIn === undefined || !RUNS.test(context.parentURL ?? '')) return next(specifier, context);
      return { url: new URL(standIn, import.meta.url).href, shortCircuit: true };
    },
    load: (url, context, next) => {
      const loaded = next(url, context);
      if (plant === undefined || !url.endsWith(`/packages/${plant.file}`)) return loaded;
      return { ...loaded, source: planted(textOf(loaded.source), plant) };
    },
  });
}

/** The source with the bug in it. @throws when the place is not there any more, or is not the only one */
export function planted(source: string, { name, file, sound, broken }: Plant): string {
  const parts = source.split(sound);
  if (parts.length !== 2)
    throw new Error(`plant ${name}: its text is ${String(parts.length - 1)} times in ${file}, not once`);
  return parts.join(broken);
}

function textOf(source: string | ArrayBuffer | NodeJS.TypedArray | undefined): string {
  if (typeof source === 'string') return source;
  if (!ArrayBuffer.isView(source)) throw new Error('a module of the product is no text');
  return Buffer.from(source.buffer, source.byteOffset, source.byteLength).toString('utf8');
}
