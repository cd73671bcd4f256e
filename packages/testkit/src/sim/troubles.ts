import type { DiskFaults } from './disk.ts';
import type { Plan } from './plan.ts';
import { LEDGERS, type World } from './world.ts';

/** Puts all that a plan has into the time of its world. */
export function scheduleTroubles(world: World, plan: Plan): void {
  const at = (ns: number, run: () => void): void => {
    world.kernel.after(ns - world.kernel.now, undefined, () => {
      if (!world.calm) run();
    });
  };
  for (const { from, to } of plan.outages) {
    world.counted.outages += 1;
    at(from, () => (world.fibre.faults.dark = true));
    at(to, () => (world.fibre.faults.dark = false));
  }
  for (const { from, to } of plan.refusals) {
    at(from, () => (world.fibre.faults.refuse = true));
    at(to, () => (world.fibre.faults.refuse = false));
  }
  for (const { at: when, machine, ms } of plan.steps)
    at(when, () => {
      world.counted.clockSteps += 1;
      world.say('WORLD', `the clock of ${machine} steps by ${String(ms)} ms`);
      world.machines[machine].wallMs += ms;
    });
  for (const { at: when, process } of plan.kills)
    at(when, () => {
      world.counted.kills += 1;
      world.kill(process);
    });
  for (const { at: when, machine } of plan.powerLosses) at(when, () => world.powerLoss(machine));
  for (const trouble of plan.disks) troubleDisk(world, trouble, at);
  for (const { from, to, errcode, chance } of plan.ledger) {
    at(from, () => (world.ledgerFault = { errcode, chance }));
    at(to, () => (world.ledgerFault = undefined));
  }
  for (const { at: when } of plan.flips) at(when, () => flip(world));
  Object.assign(world.redis, { stall: plan.redis.stall, deaf: plan.redis.deaf });
  for (const { from, to } of plan.redis.down) {
    at(from, () => (world.redis.up = false));
    at(to, () => (world.redis.up = true));
  }
  for (const when of plan.redis.flushes) at(when, () => world.redis.flush());
  for (const when of plan.redis.forges) at(when, () => forge(world));
  for (const when of plan.tickets.at) at(when, () => world.operator.repair());
  world.harbor.trouble = plan.registry;
  if (plan.restore !== undefined) planRestore(world, plan.restore, at);
}

function planRestore(
  world: World,
  { machine, taken, at: when }: NonNullable<Plan['restore']>,
  at: (ns: number, run: () => void) => void,
): void {
  at(taken, () => {
    const paths = Object.values(LEDGERS).filter((path) => path.startsWith(`/${machine}/`));
    const backs = [
      ...world.mounts.of(machine).map((disk) => disk.snapshot()),
      ...paths.map((path) => world.databases.snapshot(path)),
    ];
    world.say('WORLD', `a backup of ${machine} is taken`);
    at(when, () => {
      world.counted.restores += 1;
      world.lookAtSealed();
      world.restored.add(machine);
      world.say('WORLD', `${machine} is set back to its backup`);
      for (const process of world.processes()) if (process.machine.name === machine) process.alive = false;
      for (const back of backs) back();
      world.checker.forgetDeliveries();
      world.afterAll(machine);
    });
  });
}

function troubleDisk(
  world: World,
  { from, to, mount: name, trouble, chance }: Plan['disks'][number],
  at: (ns: number, run: () => void) => void,
): void {
  const [machine = '', mounted = ''] = name.split('/');
  const disk = world.mounts.disk(machine, mounted);
  const change: Readonly<Record<typeof trouble, (on: boolean) => Partial<DiskFaults>>> = {
    full: (on) => ({ capacity: on ? disk.used + Math.floor(chance * 20_000) : Infinity }),
    read: (on) => ({ readError: on ? chance : 0 }),
    write: (on) => ({ writeError: on ? chance : 0 }),
    sync: (on) => ({ syncError: on ? chance : 0 }),
    short: (on) => ({ shortWrite: on ? chance : 0 }),
  };
  for (const [when, on] of [
    [from, true],
    [to, false],
  ] as const)
    at(when, () => {
      world.say('WORLD', `the disk ${disk.name}: ${trouble} ${on ? 'begins' : 'ends'}`);
      Object.assign(disk.faults, change[trouble](on));
    });
}

/** Where bits turn over: objects in the spool, and what the store has. */
const ROTS = /^\/(spool\/.*\.(part|whole)|store\/(blobs|packs)\/sha256\/[0-9a-f]{64})$/;

/** A bit of what lies in spool or store turns over. */
function flip(world: World): void {
  const disks = new Set(['spool', 'store'].map((name) => world.mounts.disk('isolated', name)));
  const files = [...disks].flatMap((disk) => disk.files().map(({ path, file }) => ({ disk, path, file })));
  const rotting = files.filter(({ path }) => ROTS.test(path));
  // What waits for its import matters most, and it does not wait for long.
  const awaited = world.awaited();
  const wanted = rotting.filter(({ path }) => awaited.has(`sha256:${path.slice(-64)}`));
  const among = wanted.length > 0 ? wanted : rotting;
  const victim = among[world.kernel.random.below(Math.max(1, among.length))];
  if (victim === undefined) return;
  world.say('WORLD', `a bit turns over in ${victim.path}`);
  victim.disk.flip(victim.file);
  world.checker.rotten = true;
}

/** Somebody who can write into Redis says that a bundle was imported. */
function forge(world: World): void {
  world.lookAtSealed();
  const ids = [...world.checker.sealed.keys()];
  const id = ids[world.kernel.random.below(Math.max(1, ids.length))];
  if (id !== undefined) world.redis.forge(id, '{"payload":"e30=","payloadType":"x","signatures":[]}');
}
