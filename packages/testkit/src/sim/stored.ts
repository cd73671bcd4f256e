import { type Digest, hexOf } from '@sluice/ports';
import { digestOf } from './inputs.ts';
import { UNBOUNDED } from './plan.ts';
import { LEDGERS, type World } from './world.ts';

const INDEX = '/isolated/store/packs/index.sqlite';
/** States of bundles whose blobs must be there at any moment, where those that are over are about to go. */
const WAITING = ['published', 'queued'];
const ALL = [...WAITING, 'imported'];

/** Counts bundles whose blobs went from the store. */
export function droppedIn({ databases }: World): number {
  const row = databases.settled(LEDGERS.receiver, 'dropped')?.prepare('SELECT count(*) AS n FROM dropped').get();
  return Number(row?.n ?? 0);
}

/** After a loss of power, which may have cut a sweep off, and after each sweep. */
export function checkStoredNow(world: World): void {
  checkStored(world, world.plan.settings.sweeps ? WAITING : ALL);
}

/** Between two sweeps. One that a crash cut off is done again by then, unless there is room meanwhile, or bundles are younger than they were. */
export function checkStoredAtRest(world: World): void {
  const { settings, steps } = world.plan;
  const { sweeps, storeBytes } = settings;
  const doneAgain = storeBytes === UNBOUNDED && steps.length === 0;
  checkStored(world, sweeps && !doneAgain ? WAITING : ALL);
}

/**
 * The store has all of the bundles in these states by the ledger. That it would come again by itself is another matter. Where bits have turned over, what
 * does not hold is put aside.
 */
function checkStored(world: World, states: readonly string[]): void {
  const { databases, checker, plan, restored } = world;
  // What went from the store after the backup is called published by its ledger.
  if (checker.rotten || (plan.settings.sweeps && restored.size > 0)) return;
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
  const listed = states.map((state) => `'${state}'`).join(', ');
  const kept = `SELECT id FROM bundles WHERE state IN (${listed}) AND id NOT IN (SELECT bundle FROM dropped)`;
  for (const { id } of ledger.prepare(kept).all()) {
    const input = checker.sealed.get(id as Digest)?.input;
    if (input === undefined) continue;
    const lacking = [digestOf(input.release), ...input.blobs.keys()].filter((digest) => !isStored(digest));
    if (lacking.length > 0) checker.broken('what is published is in the store', `${lacking.join(', ')} of ${input.id}`);
  }
}
