import { type Digest, hexOf } from '@sluice/ports';
import { digestOf } from './inputs.ts';
import { LEDGERS, type World } from './world.ts';

const INDEX = '/isolated/store/packs/index.sqlite';

/**
 * After a loss of power the store has all that the ledger calls published. That it would come again by itself is another matter. Where bits have
 * turned over, what does not hold is put aside.
 */
export function checkStored(world: World): void {
  const { databases, checker } = world;
  if (checker.rotten) return;
  const [ledger, index] = [databases.settled(LEDGERS.receiver, 'dropped'), databases.settled(INDEX, 'packs')];
  if (ledger === undefined) return;
  const isThere = (path: string): boolean => {
    const { disk, parts } = world.mounts.place(path);
    return disk.find(parts) !== undefined;
  };
  const place = index?.prepare(
    'SELECT packs.digest AS pack FROM blobs JOIN packs ON number = pack WHERE blobs.digest = ?',
  );
  const isStored = (digest: Digest): boolean => {
    if (isThere(`/isolated/store/blobs/sha256/${hexOf(digest)}`)) return true;
    const row = place?.get(Buffer.from(hexOf(digest), 'hex'));
    return (
      row !== undefined &&
      isThere(`/isolated/store/packs/sha256/${Buffer.from(row.pack as Uint8Array).toString('hex')}`)
    );
  };
  const kept = `SELECT id FROM bundles WHERE state IN ('published', 'queued', 'imported')
    AND id NOT IN (SELECT bundle FROM dropped)`;
  for (const { id } of ledger.prepare(kept).all()) {
    const input = checker.sealed.get(id as Digest)?.input;
    if (input === undefined) continue;
    const lacking = [digestOf(input.release), ...input.blobs.keys()].filter((digest) => !isStored(digest));
    if (lacking.length > 0) checker.broken('what is published is in the store', `${lacking.join(', ')} of ${input.id}`);
  }
}
