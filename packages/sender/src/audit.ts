import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { readLedger, type SealedObject } from '@sluice/ledger';
import { type Digest, hexOf } from '@sluice/ports';

export interface StagingReport {
  readonly bundles: number;
  readonly blobs: number;
  readonly faults: readonly { readonly bundle: Digest; readonly blob: Digest; readonly why: string }[];
}

/** Faults that are named. */
const NAMED = 100;

/** Holds the bundles of a sender's ledger against its staging store, but for those whose content was let go. With `deep` each blob is hashed. */
export async function auditStaging(ledgerPath: string, root: string, deep: boolean): Promise<StagingReport> {
  const bundles = readLedger(ledgerPath, (database) => {
    const table = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'dropped'").get();
    const kept = table === undefined ? '' : 'WHERE id NOT IN (SELECT bundle FROM dropped)';
    const rows = database.prepare(`SELECT id, release, objects FROM bundles ${kept} ORDER BY number`).all();
    return rows as unknown as { id: Digest; release: Digest; objects: string }[];
  });
  const looked = new Map<Digest, string | undefined>();
  const faults: StagingReport['faults'][number][] = [];
  for (const { id, release, objects } of bundles) {
    const named = [...(JSON.parse(objects) as SealedObject[]).map(({ digest }) => digest), release, id];
    for (const blob of named) {
      if (!looked.has(blob)) looked.set(blob, await faultOf(join(root, 'blobs', 'sha256', hexOf(blob)), blob, deep));
      const why = looked.get(blob);
      if (why !== undefined && faults.length < NAMED) faults.push({ bundle: id, blob, why });
    }
  }
  return { bundles: bundles.length, blobs: looked.size, faults };
}

async function faultOf(path: string, blob: Digest, deep: boolean): Promise<string | undefined> {
  try {
    const stats = await lstat(path);
    if (!stats.isFile()) return 'no file lies in its place';
    if (!deep) return undefined;
    const hash = createHash('sha256');
    for await (const piece of createReadStream(path) as AsyncIterable<Uint8Array>) hash.update(piece);
    return hash.digest('hex') === hexOf(blob) ? undefined : 'the store holds other bytes under its name';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'it is not in the store';
    throw error;
  }
}
