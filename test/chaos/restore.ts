import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type ChaosCase, must, mustEqual } from './case.ts';
import { MIB } from './content.ts';
import { Rig } from './rig.ts';

const LAYERS = [6 * MIB, 2 * MIB];
const TAG = 'latest';
const DEADLINE_MS = 120_000;
/** The command that the isolated side gives for the staging side. */
const RESTORED = /sluice (restored prod \d+ sha256:[0-9a-f]{64})/;

/** A directory as it is now, and back to it later: an old snapshot. */
class Snapshot {
  readonly #place: string;
  readonly #copy: string;
  constructor(place: string) {
    this.#place = place;
    this.#copy = `${place}.snapshot`;
    cpSync(place, this.#copy, { recursive: true });
  }
  restore(): void {
    rmSync(this.#place, { recursive: true });
    cpSync(this.#copy, this.#place, { recursive: true });
  }
}

/** The tag was set so often in all, and stands for this image now. */
function mustStand(rig: Rig, manifest: string, times: number): void {
  mustEqual(rig.pulled('a', `library/app/manifests/${TAG}`), manifest, 'manifest of the tag');
  mustEqual(rig.timesNamed('library/app', TAG), times, 'times that the tag was set');
}

/** One pair for both: the sender is set back first, then the receiver. */
async function pair(): Promise<Rig> {
  return Rig.create({
    name: 'restore',
    lossPercent: 1,
    tune: ({ sender }) => {
      Object.assign(sender.carousel, { passes: 100, gap: '3s' });
    },
  });
}

export const senderRestored: ChaosCase = {
  name: 'sender-restored',
  about: 'sender restored from an old snapshot: named, nothing rolled back, complete after one stated command',
  run: async (figures) => {
    await using rig = await pair();
    const { world } = rig;
    await rig.startAll();
    const first = rig.submitImage('app', TAG, LAYERS);
    await world.bundle(first.sequence, ['imported'], DEADLINE_MS);
    await world.program('sender').stop();
    const snapshot = new Snapshot(join(rig.dir, 'sender'));
    await world.start('sender');
    const second = rig.submitImage('app', TAG, LAYERS);
    await world.bundle(second.sequence, ['imported'], DEADLINE_MS);
    const third = rig.submitFile('third.bin', MIB);
    await world.bundle(third.sequence, ['imported'], DEADLINE_MS);
    await world.program('sender').stop('SIGKILL');
    snapshot.restore();
    await world.start('sender');
    const restored = (status: string, output: string): boolean => status !== 'pass' && RESTORED.test(output);
    const words = await rig.check('receiver', '/healthz', 'sender:numbers-prod', restored);
    // Who is quicker than the operator is refused by name, and nothing of it comes in.
    const early = rig.submitImage('app', TAG, LAYERS);
    mustEqual(early.sequence, 2, 'number given out twice');
    const refused = await world.bundle(0, ['quarantined'], DEADLINE_MS);
    mustEqual(refused.code, 'sequence-repeated', 'why the bundle was refused');
    const [, command = ''] = RESTORED.exec(words) ?? [];
    const [verb = '', ...options] = command.split(' ');
    figures['stated command'] = command;
    figures['it says'] = world.sluice(verb, '--socket', join(rig.dir, 'sockets/sender.sock'), ...options).trim();
    mustStand(rig, second.image.manifest, 2);
    await rig.check('receiver', '/healthz', 'sender:numbers-prod', (status) => status === 'pass');
    const fourth = rig.submitImage('app', TAG, LAYERS);
    mustEqual(fourth.sequence, 4, 'number after the restored ones');
    await world.bundle(fourth.sequence, ['imported'], DEADLINE_MS);
    mustStand(rig, fourth.image.manifest, 3);
    mustEqual((await rig.status())?.channels[0]?.missing, [], 'missing bundles');
    Object.assign(figures, { refused: refused.code, 'rolled back': 0 });
  },
};

export const receiverRestored: ChaosCase = {
  name: 'receiver-restored',
  about: 'receiver restored from an old backup: named as missing, nothing rolled back, complete after the next pass',
  run: async (figures) => {
    await using rig = await pair();
    const { world } = rig;
    await rig.startAll();
    // In the backup the first bundle is published and not imported: its job will be queued once more.
    await world.program('importer').stop();
    const first = rig.submitImage('app', TAG, LAYERS);
    await world.bundle(first.sequence, ['queued'], DEADLINE_MS);
    await world.program('receiver').stop();
    const snapshot = new Snapshot(join(rig.dir, 'receiver'));
    await world.start('receiver');
    await world.start('importer');
    await world.bundle(first.sequence, ['imported'], DEADLINE_MS);
    const second = rig.submitImage('app', TAG, LAYERS);
    await world.bundle(second.sequence, ['imported'], DEADLINE_MS);
    const third = rig.submitFile('third.bin', MIB);
    await world.bundle(third.sequence, ['imported'], DEADLINE_MS);
    mustStand(rig, second.image.manifest, 2);
    await world.program('receiver').stop('SIGKILL');
    snapshot.restore();
    const from = world.program('receiver').output().length;
    await world.start('receiver');
    const named = (status: string, output: string): boolean => status === 'warn' && /sequences 2.*, 3/.test(output);
    figures['/healthz'] = await rig.check('receiver', '/healthz', 'bundles:missing-prod', named);
    for (const { sequence } of [first, second, third]) await world.bundle(sequence, ['imported'], DEADLINE_MS);
    mustStand(rig, second.image.manifest, 2);
    rig.mustHave(second.image, 'app', TAG);
    must(rig.delivered('third.bin'), 'third.bin was not delivered as it was');
    mustEqual((await rig.status())?.channels[0]?.missing, [], 'missing bundles');
    must(!world.program('receiver').output().slice(from).includes('quarantined'), 'a bundle was refused');
    Object.assign(figures, { 'imported again': '1, 2, 3', 'tag set after the restore': 0 });
  },
};
