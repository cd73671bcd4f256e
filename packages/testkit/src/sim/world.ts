import type { DatabaseSync } from 'node:sqlite';
import { type Digest, type LinkToReceiver, OperationalError, type ReceiverToLink } from '@sluice/ports';
import { EventChain } from '@sluice/ledger';
import { Checker, type Violation } from './checker.ts';
import { Disk, HEALTHY, isFault } from './disk.ts';
import { CLEAR, Fibre } from './fibre.ts';
import {
  type LinkProcess,
  type ReceiverProcess,
  runSimulatedImporter,
  runSimulatedLink,
  runSimulatedReceiver,
  type SenderProcess,
  type Surroundings,
} from './hosts.ts';
import { makeInput } from './inputs.ts';
import { Kernel, type Machine, type Process } from './kernel.ts';
import { KEYS } from './keys.ts';
import { mount, Mounts } from './mounts.ts';
import { attachDatabases, Databases } from './node/sqlite.ts';
import { makePlan, type Plan, type ProcessName } from './plan.ts';
import { Operator } from './operator.ts';
import { SimulatedRedis } from './queue.ts';
import { SimulatedHarbor } from './harbor.ts';
import { checkStoredNow, droppedIn } from './stored.ts';
import { runSimulatedSender, TICKET_KEY } from './sender.ts';
import { light } from './threads.ts';
import { scheduleTroubles } from './troubles.ts';
import { Wire } from './wire.ts';

const S = 1e9;
const WALL_2026 = 1_790_000_000_000;
const STORY_LINES = 5000;
/** What the fibre counts that is no fault. */
const PLAIN = ['sent', 'delivered', 'unheard'];
const MACHINE_OF: Readonly<Record<ProcessName, 'staging' | 'isolated'>> = {
  ...{ sender: 'staging', link: 'isolated', receiver: 'isolated', importer: 'isolated' },
};
export const LEDGERS = {
  sender: '/staging/state/ledger.sqlite',
  receiver: '/isolated/state/ledger.sqlite',
  importer: '/isolated/importer/ledger.sqlite',
};

/** How a world went. */
export interface Outcome {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly faults: Readonly<Record<string, number>>;
  readonly story: readonly string[];
  readonly virtualSeconds: number;
  readonly events: number;
}

interface Running {
  sender?: SenderProcess | undefined;
  link?: LinkProcess | undefined;
  receiver?: ReceiverProcess | undefined;
}

/** One world: both sides and what is between them, as a seed has it, from the first input until it comes to rest. */
export class World {
  readonly plan: Plan;
  readonly kernel: Kernel;
  readonly checker: Checker;
  readonly running: Running = {};
  readonly databases: Databases;
  readonly story: string[] = [];
  readonly mounts: Mounts;
  readonly fibre: Fibre;
  readonly redis = new SimulatedRedis();
  readonly operator = new Operator(this);
  readonly harbor: SimulatedHarbor;
  readonly #processes = new Map<ProcessName, Process>();
  readonly machines: Readonly<Record<'staging' | 'isolated', Machine>>;
  readonly counted = {
    kills: 0,
    strikes: 0,
    powerLosses: 0,
    clockSteps: 0,
    outages: 0,
    restores: 0,
    ledgerErrors: 0,
    exits: 0,
  };
  readonly #inputs: ReturnType<typeof makeInput>[];
  readonly #surroundings: Surroundings;
  calm = false;
  ledgerFault: { readonly errcode: number; readonly chance: number } | undefined;
  /** Machines that were set back to a backup. */
  readonly restored = new Set<'staging' | 'isolated'>();

  constructor(seed: number) {
    this.plan = makePlan(seed);
    const { plan } = this;
    this.kernel = new Kernel(seed);
    this.checker = new Checker(
      ({ rule, detail }) => this.say('RULE', `broken: ${rule}: ${detail}`),
      () => this.lookAtSealed(),
    );
    const machine = (name: 'staging' | 'isolated'): Machine => ({ name, drift: plan.drift[name], wallMs: WALL_2026 });
    this.machines = { staging: machine('staging'), isolated: machine('isolated') };
    this.mounts = new Mounts({
      strikes: (process) => this.#strikes(process, plan.strike * (process.name === 'link' ? plan.strikeLink : 1)),
      strike: (process) => this.#strike(process),
      latencyNs: (sync) => this.#latency(sync),
      named: (path, node) => this.checker.named(path, node),
    });
    this.databases = new Databases({
      fault: () => this.#databaseFault(),
      strikes: (process) => this.#strikes(process, plan.strikeCommit),
      strike: (process) => this.#strike(process),
    });
    this.fibre = new Fibre(this.kernel, this.checker);
    this.harbor = new SimulatedHarbor(this.kernel, (repository, tag, digest) =>
      this.checker.tagged(repository, tag, digest),
    );
    this.#inputs = plan.inputs.map((input) => makeInput(input, this.kernel.random));
    this.#surroundings = {
      settings: plan.settings,
      fibre: this.fibre,
      wire: new Wire<LinkToReceiver, ReceiverToLink>(this.kernel),
      redis: this.redis,
      say: (who, text) => this.say(who, text),
      exit: (reason) => this.#exit(this.kernel.current, reason),
      swept: () => checkStoredNow(this),
    };
    this.kernel.onMistake = (process, error) => this.#mistake(process, error);
    this.#layDisks();
  }

  say(who: string, text: string): void {
    if (this.story.length < STORY_LINES)
      this.story.push(`${(this.kernel.now / S).toFixed(6).padStart(11)} ${who.padEnd(8)} ${text}`);
  }

  processes(): IteratorObject<Process> {
    return this.#processes.values();
  }

  /** Puts this world in place of the real one while `run` runs. */
  async live<T>(run: () => Promise<T>): Promise<T> {
    mount(this.mounts);
    attachDatabases(this.databases);
    light(this.fibre, this.plan.settings.batches);
    try {
      return await run();
    } finally {
      mount(undefined);
      attachDatabases(undefined);
      light(undefined);
      this.databases.close();
    }
  }

  /** The troubled time, with all that the plan has. */
  async trouble(): Promise<void> {
    const { plan } = this;
    for (const input of this.#inputs) this.checker.expect(input);
    for (const name of ['receiver', 'link', 'importer', 'sender'] as const)
      this.boot(name, this.kernel.random.unit() * S);
    Object.assign(this.fibre.faults, plan.fibre);
    scheduleTroubles(this, plan);
    this.#sample();
    await this.kernel.run(plan.troubleNs);
  }

  /** All faults end; what was down starts again. */
  mend(): void {
    this.calm = true;
    this.say('WORLD', 'the trouble ends');
    Object.assign(this.fibre.faults, CLEAR);
    Object.assign(this.redis, { up: true, stall: 0, deaf: 0 });
    this.harbor.trouble = { fail: 0, stall: 0, lie: 0 };
    for (const disk of this.mounts.disks) Object.assign(disk.faults, { ...HEALTHY, tears: disk.faults.tears });
    this.ledgerFault = undefined;
  }

  boot(name: ProcessName, waitNs: number): void {
    this.kernel.after(waitNs, undefined, () => {
      if (this.#processes.get(name)?.alive === true) return;
      const process: Process = { name, machine: this.machines[MACHINE_OF[name]], alive: true };
      this.#processes.set(name, process);
      // Until it is up, nobody is to ask the one that it follows.
      if (name !== 'importer') this.running[name] = undefined;
      this.kernel.after(0, process, () => void this.#main(name));
    });
  }

  kill(name: ProcessName): void {
    const process = this.#processes.get(name);
    if (process?.alive !== true) return;
    process.alive = false;
    this.say('WORLD', `${name} is killed`);
    this.#after(process);
  }

  powerLoss(machine: 'staging' | 'isolated'): void {
    this.counted.powerLosses += 1;
    this.say('WORLD', `${machine} loses its power`);
    for (const process of this.#processes.values()) if (process.machine.name === machine) process.alive = false;
    for (const disk of this.mounts.of(machine)) disk.powerLoss();
    if (machine === 'isolated') checkStoredNow(this);
    this.afterAll(machine);
  }

  counts(): Record<string, number> {
    const disks = { enospc: 0, eio: 0, lost: 0, torn: 0, flipped: 0, shortWrites: 0, slowSyncs: 0 };
    for (const { counts } of this.mounts.disks)
      for (const name of Object.keys(disks) as (keyof typeof disks)[]) disks[name] += counts[name];
    const fibre = Object.entries(this.fibre.counts).filter(([name]) => !PLAIN.includes(name));
    return {
      ...this.counted,
      ...Object.fromEntries(fibre.map(([name, n]) => [`fibre.${name}`, n])),
      ...Object.fromEntries(Object.entries(disks).map(([name, n]) => [`disk.${name}`, n])),
      'redis.flushes': this.redis.flushes,
      'redis.forged': this.redis.forged,
      'redis.outages': this.plan.redis.down.length,
      drifting: Object.values(this.plan.drift).filter((drift) => drift !== 0).length,
      ...this.harbor.counts,
      ...this.operator.counts,
      'store.dropped': droppedIn(this),
    };
  }

  async #main(name: ProcessName): Promise<void> {
    this.say('WORLD', `${name} starts`);
    const { kernel, checker, running } = this;
    switch (name) {
      case 'sender':
        running.sender = await runSimulatedSender(this.#surroundings, () =>
          this.#inputs.filter(({ at }) => at <= kernel.now),
        );
        break;
      case 'link':
        running.link = runSimulatedLink(this.#surroundings);
        checker.linkStarted(running.link);
        break;
      case 'receiver':
        running.receiver = await runSimulatedReceiver(this.#surroundings);
        break;
      case 'importer':
        await runSimulatedImporter(this.#surroundings, this.harbor.home());
    }
  }

  #layDisks(): void {
    const { random } = this.kernel;
    let dev = 1;
    const disk = (name: string): Disk => {
      dev += 1;
      const made = new Disk(name, dev, random);
      made.faults = { ...HEALTHY, tears: this.plan.tears };
      return made;
    };
    const shared = disk('isolated');
    this.mounts.add('staging', 'state', disk('staging'));
    for (const mounted of ['spool', 'store', 'quarantine', 'files', 'link', 'state', 'importer'])
      this.mounts.add('isolated', mounted, this.plan.oneDisk ? shared : disk(mounted));
    const { disk: files, parts } = this.mounts.place('/isolated/files/site');
    files.create(parts, 0n, 'directory');
    const key = this.mounts.place(TICKET_KEY);
    const file = key.disk.create(key.parts, 0n, 'file');
    if (file.kind === 'file') key.disk.write(file, Buffer.from(KEYS.ticket.publicPem), 0, 0n);
    for (const each of this.mounts.disks) each.syncAll();
  }

  #sample(): void {
    this.kernel.after(0.25 * S, undefined, () => {
      const { link } = this.running;
      if (link !== undefined) this.checker.limits(link, this.plan.settings);
      this.#sample();
    });
  }

  #strikes(process: Process, chance: number): boolean {
    return !this.calm && process.alive && this.kernel.random.chance(chance);
  }

  #strike(process: Process): void {
    if (!process.alive) return;
    this.counted.strikes += 1;
    if (this.kernel.random.chance(this.plan.power)) this.powerLoss(process.machine.name as 'staging' | 'isolated');
    else this.kill(process.name as ProcessName);
  }

  #latency(sync: boolean): number {
    const { random } = this.kernel;
    const slow = sync && !this.calm && random.chance(this.plan.slowSync);
    if (!slow) return 10_000 + random.below(sync ? 3e6 : 200_000);
    const [disk] = this.mounts.disks;
    if (disk !== undefined) disk.counts.slowSyncs += 1;
    return random.unit() * 2 * S;
  }

  #databaseFault(): number | undefined {
    const fault = this.ledgerFault;
    if (fault === undefined || !this.kernel.random.chance(fault.chance)) return undefined;
    this.counted.ledgerErrors += 1;
    return fault.errcode;
  }

  /** An uncaught failure of the world ends a process, as it should; anything else is a mistake of ours. */
  #mistake(process: Process | undefined, error: unknown): void {
    if (process !== undefined && (error instanceof OperationalError || isFault(error))) {
      this.#exit(process, (error as Error).message);
      return;
    }
    const { stack = String(error) } = error as Error;
    this.checker.broken('no process dies of a mistake', `${process?.name ?? 'the world'}: ${stack}`);
    if (process !== undefined) this.#exit(process, 'a mistake');
  }

  #exit(process: Process | undefined, reason: string): void {
    if (process?.alive !== true) return;
    this.counted.exits += 1;
    process.alive = false;
    this.say('WORLD', `${process.name} ends: ${reason}`);
    this.#after(process);
  }

  #after(process: Process): void {
    if (process.name === 'link') this.#checkMaps();
    this.checkChains();
    this.boot(process.name as ProcessName, this.#pause());
  }

  afterAll(machine: 'staging' | 'isolated'): void {
    if (machine === 'isolated') this.#checkMaps();
    this.checkChains();
    for (const name of Object.keys(MACHINE_OF) as ProcessName[])
      if (MACHINE_OF[name] === machine) this.boot(name, this.#pause());
  }

  #pause(): number {
    return (0.1 + this.kernel.random.unit() * 2) * S;
  }

  #checkMaps(): void {
    const disk = this.mounts.disk('isolated', 'spool');
    if (disk.counts.flipped === 0) this.checker.maps(disk);
  }

  /** Takes note of what the sender's ledger has sealed. */
  lookAtSealed(): void {
    const database = this.databases.at(LEDGERS.sender);
    if (!this.#hasTable(database, 'bundles')) return;
    const all = this.databases.prepared(database, 'SELECT id, name, sequence, envelope FROM bundles');
    for (const { id, name, sequence, envelope } of all.all()) {
      const input = this.#inputs.find((each) => each.id === name);
      if (input === undefined) throw new Error(`nobody handed ${String(name)} in`);
      this.checker.seal({ id: String(id) as Digest, input, sequence: Number(sequence) }, envelope as Uint8Array);
    }
  }

  /** What the importer has still to read: content of bundles that are published and not imported. */
  awaited(): ReadonlySet<string> {
    const database = this.databases.at(LEDGERS.receiver);
    if (!this.#hasTable(database, 'bundles')) return new Set();
    const rows = database.prepare("SELECT id FROM bundles WHERE state IN ('published', 'queued')").all();
    const inputs = rows.flatMap(({ id }) => this.checker.sealed.get(id as Digest)?.input ?? []);
    return new Set(inputs.flatMap(({ objects, blobs }) => [...objects.map(({ digest }) => digest), ...blobs.keys()]));
  }

  checkChains(): void {
    for (const [name, path] of Object.entries(LEDGERS)) {
      const database = this.databases.at(path);
      if (!this.#hasTable(database, 'events')) continue;
      this.checker.chain(name, database);
      const said = new EventChain(database, () => 0).verify();
      if (!said.ok)
        this.checker.broken(
          "the ledger's hash chain verifies",
          `${name} says that entry ${String(said.firstBad)} is bad`,
        );
    }
  }

  #hasTable(database: DatabaseSync, name: string): boolean {
    return this.databases.prepared(database, 'SELECT 1 FROM sqlite_master WHERE name = ?').get(name) !== undefined;
  }
}
