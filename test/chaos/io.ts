import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../world/processes.ts';
import { type ChaosCase, type Figures, must } from './case.ts';
import { MIB, randomFile } from './content.ts';
import { IoFaults } from './disk.ts';
import { namedState, wellAgain } from './disks.ts';
import { daemonWith, Rig } from './rig.ts';

const BYTES = 24 * MIB;
const DEADLINE_MS = 90_000;
/** How long a disk stays broken once its state has been named. */
const BROKEN_MS = 3000;

type Calls = Parameters<IoFaults['fail']>[1];

/** What is tried: which calls fail, where, and the state that names it. */
interface Trouble {
  readonly what: string;
  readonly below: string;
  readonly calls: Calls;
  readonly check: string;
  readonly code: string;
}

const TROUBLES: readonly Trouble[] = [
  { what: 'spool, writing', below: 'spool', calls: { write: true }, check: 'link:spool', code: 'spool-io' },
  { what: 'spool, syncing', below: 'spool', calls: { sync: true }, check: 'link:spool', code: 'spool-io' },
  { what: 'spool, reading', below: 'spool', calls: { read: true }, check: 'bundles:held', code: 'EIO' },
  {
    what: 'store, writing and syncing',
    below: 'store',
    calls: { write: true, sync: true },
    check: 'bundles:held',
    code: 'store-io',
  },
  {
    what: 'ledger, writing and syncing',
    below: 'receiver',
    calls: { write: true, sync: true },
    check: 'ledger:writes',
    code: 'ledger-io',
  },
];

/** Each disk of the receiver fails with EIO for a while, in turn, while a bundle comes. */
export const io: ChaosCase = {
  name: 'eio',
  about:
    'EIO in spool, store and ledger: named in /readyz, nothing wrong published, goes on by itself when mended; a blob that cannot be read comes again',
  run: async (figures) => {
    let faults: IoFaults | undefined;
    await using rig = await Rig.create({
      name: 'eio',
      lossPercent: 1,
      wrap: (argv, dir) => daemonWith(argv, (faults ??= new IoFaults(dir)).variables, ['receiver', 'importer']),
      tune: ({ sender }) => {
        sender.carousel = { passes: 50, gap: '2s' };
      },
    });
    await rig.startAll();
    rig.keep('receiver');
    must(faults !== undefined, 'the receiver was not started with the library');
    for (const [at, trouble] of TROUBLES.entries()) await broken(rig, faults, trouble, `${String(at)}.bin`, figures);
    await unread(rig, faults, figures);
    figures['calls that failed'] = faults.failures;
    figures['receiver started again'] = rig.restarts.get('receiver') ?? 0;
    must(rig.restarts.get('receiver') === 0, 'a failing disk ended the receiver');
  },
};

async function broken(rig: Rig, faults: IoFaults, trouble: Trouble, name: string, figures: Figures): Promise<void> {
  const { what, below, calls, check, code } = trouble;
  const before = faults.failures;
  faults.fail(join(rig.dir, below), calls);
  const { sequence } = rig.submitFile(name, BYTES);
  await until(`calls to fail: ${what}`, DEADLINE_MS, () => faults.failures > before || undefined);
  figures[what] = await namedState(rig, check, code);
  await delay(BROKEN_MS);
  must(!rig.delivered(name), `${name} was delivered by a broken disk: ${what}`);
  faults.mend();
  await rig.world.bundle(sequence, ['imported'], DEADLINE_MS);
  must(rig.delivered(name), `${name} was not delivered as it was`);
  await wellAgain(rig, check);
}

/** A blob of the store cannot be read, whoever tries, and nothing else fails: the file is gone for good, and its bundle comes again. */
async function unread(rig: Rig, faults: IoFaults, figures: Figures): Promise<void> {
  const name = 'unread.bin';
  randomFile(join(rig.dir, 'input', name), BYTES);
  const stored = rig.stored(name);
  faults.fail(stored, { read: true });
  const begun = performance.now();
  const { sequence } = rig.submitAgain(name);
  await until('the blob to be put aside', DEADLINE_MS, () =>
    existsSync(join(rig.dir, 'store/damaged', basename(stored))),
  );
  figures['store, reading one blob: seconds until it is put aside'] = Math.round((performance.now() - begun) / 1000);
  must(!rig.delivered(name), `${name} was delivered by a disk that cannot read it`);
  // What comes again lies elsewhere on the disk, under the same name.
  faults.mend();
  await rig.world.bundle(sequence, ['imported'], DEADLINE_MS);
  must(rig.delivered(name), `${name} was not delivered as it was`);
}
