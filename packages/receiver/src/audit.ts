import { createHash } from 'node:crypto';
import { readLedger } from '@sluice/ledger';
import { type BlobStore, type Digest, hexOf, OperationalError } from '@sluice/ports';
import { openStoreToRead } from '@sluice/policy';
import { blobsOf } from './bundle-blobs.ts';
import type { ReceiverConfig } from './config.ts';

/** A blob that a bundle names and the store does not hold. */
export interface StoreFault {
  readonly bundle: Digest;
  readonly blob: Digest;
  readonly why: string;
}

export interface StoreReport {
  readonly bundles: number;
  readonly blobs: number;
  readonly faults: readonly StoreFault[];
}

/** Faults that are named. */
const NAMED = 100;

/**
 * Holds the bundles of a receiver's ledger against its store: each blob of one that was published, and was not let go since, must be there. With `deep` each is
 * hashed. Nothing is changed.
 */
export async function auditStore(ledgerPath: string, store: BlobStore, deep: boolean): Promise<StoreReport> {
  const bundles = readLedger(ledgerPath, (database) => {
    const table = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'dropped'").get();
    const kept = table === undefined ? '' : 'AND id NOT IN (SELECT bundle FROM dropped)';
    const query = `SELECT id, release, envelope FROM bundles LEFT JOIN receipts ON bundle = id
      WHERE state IN ('published', 'queued', 'imported', 'failed') ${kept} ORDER BY number`;
    return database.prepare(query).all() as unknown as { id: Digest; release: Digest; envelope: Uint8Array | null }[];
  });
  const looked = new Map<Digest, string | undefined>();
  const faults: StoreFault[] = [];
  for (const bundle of bundles) {
    const found = await blobsOf(bundle, bundle.envelope ?? undefined, store);
    const named: Iterable<Digest> = found?.blobs.keys() ?? [bundle.release, bundle.id];
    for (const blob of named) {
      if (!looked.has(blob)) looked.set(blob, await faultOf(blob, store, deep));
      const why = looked.get(blob);
      if (why !== undefined && faults.length < NAMED) faults.push({ bundle: bundle.id, blob, why });
    }
    if (found?.whole === false && faults.every((fault) => fault.bundle !== bundle.id))
      faults.push({ bundle: bundle.id, blob: bundle.release, why: 'a manifest that it names cannot be read' });
  }
  return { bundles: bundles.length, blobs: looked.size, faults };
}

/** What is wrong with a blob in a store. */
export async function faultOf(blob: Digest, store: BlobStore, deep: boolean): Promise<string | undefined> {
  if ((await store.stat(blob)) === undefined) return 'it is not in the store';
  if (!deep) return undefined;
  const hash = createHash('sha256');
  try {
    for await (const piece of await store.read(blob)) hash.update(piece);
  } catch (error) {
    if (error instanceof OperationalError && error.code === 'store-missing') return 'it is not in the store';
    throw error;
  }
  return hash.digest('hex') === hexOf(blob) ? undefined : 'the store holds other bytes under its name';
}

/** As `auditStore`, with the store of a configuration. Nothing of it is written to. */
export async function auditReceiver(
  ledgerPath: string,
  { store, stateDirectory }: Pick<ReceiverConfig, 'store' | 'stateDirectory'>,
  deep: boolean,
): Promise<StoreReport> {
  return auditStore(ledgerPath, await openStoreToRead(store, stateDirectory), deep);
}
