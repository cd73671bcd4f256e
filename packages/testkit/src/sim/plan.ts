import { Random } from '../random.ts';
import { CLEAR, type FibreFaults } from './fibre.ts';
import type { Settings } from './hosts.ts';
import type { Evil, InputPlan } from './inputs.ts';

/** A stretch of the troubled time, nanoseconds. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

export type DiskTrouble = 'full' | 'read' | 'write' | 'sync' | 'short';
export type ProcessName = 'sender' | 'link' | 'receiver' | 'importer';

/** Everything that will go wrong in one world, or may. */
export interface Plan {
  readonly seed: number;
  readonly settings: Settings;
  readonly inputs: readonly InputPlan[];
  /** End of the troubled time. */
  readonly troubleNs: number;
  readonly fibre: FibreFaults;
  readonly outages: readonly Window[];
  /** When the sender's kernel takes no datagrams. */
  readonly refusals: readonly Window[];
  readonly drift: Readonly<Record<'staging' | 'isolated', number>>;
  readonly steps: readonly { readonly at: number; readonly machine: 'staging' | 'isolated'; readonly ms: number }[];
  readonly kills: readonly { readonly at: number; readonly process: ProcessName }[];
  readonly powerLosses: readonly { readonly at: number; readonly machine: 'staging' | 'isolated' }[];
  /** Probability that a call of file system or database is the last of its process. */
  readonly strike: number;
  /** How much likelier it is in link, which calls the disk more often than all others. */
  readonly strikeLink: number;
  /** Probability that a commit of a ledger is the last of its process: there are few of them. */
  readonly strikeCommit: number;
  /** Share of the strikes that cost the whole machine its power. */
  readonly power: number;
  readonly tears: boolean;
  readonly oneDisk: boolean;
  readonly slowSync: number;
  readonly disks: readonly (Window & {
    readonly mount: string;
    readonly trouble: DiskTrouble;
    readonly chance: number;
  })[];
  readonly ledger: readonly (Window & { readonly errcode: number; readonly chance: number })[];
  readonly flips: readonly { readonly at: number }[];
  readonly redis: {
    readonly down: readonly Window[];
    readonly flushes: readonly number[];
    readonly stall: number;
    readonly deaf: number;
    readonly forges: readonly number[];
  };
  readonly registry: { readonly fail: number; readonly stall: number; readonly lie: number };
  /** When tickets are issued, and whether they alone must mend what lacks in the end. */
  readonly tickets: { readonly at: readonly number[]; readonly alone: boolean };
  readonly restore:
    { readonly machine: 'staging' | 'isolated'; readonly taken: number; readonly at: number } | undefined;
}

const S = 1e9;
/** Bytes that no store of a world reaches. */
export const UNBOUNDED = 2 ** 30;

/** Draws from a seed. Each kind of trouble is there in some worlds and not in others, so that none hides another. */
class Draw {
  readonly random: Random;
  readonly #density: number;
  readonly #troubleNs: number;

  constructor(random: Random, density: number, troubleNs: number) {
    this.random = random;
    this.#density = density;
    this.#troubleNs = troubleNs;
  }

  /** True for the kinds of trouble that this world has. */
  has(weight = 1): boolean {
    return this.random.chance(this.#density * weight);
  }

  between(least: number, most: number): number {
    return least + this.random.unit() * (most - least);
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.random.below(from.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }

  moment(): number {
    return this.between(0.5 * S, this.#troubleNs);
  }

  window(longestNs: number): Window {
    const from = this.moment();
    return { from, to: Math.min(this.#troubleNs, from + this.between(0.05, 1) * longestNs) };
  }

  some<T>(most: number, make: () => T): T[] {
    return Array.from({ length: 1 + this.random.below(most) }, make);
  }

  maybe<T>(most: number, make: () => T, weight = 1): T[] {
    return this.has(weight) ? this.some(most, make) : [];
  }
}

const MACHINES = ['staging', 'isolated'] as const;
const PROCESSES: readonly ProcessName[] = ['sender', 'link', 'receiver', 'importer'];
const MOUNTS = [
  'staging/state',
  'isolated/spool',
  'isolated/store',
  'isolated/quarantine',
  'isolated/files',
  'isolated/link',
];
const TROUBLES: readonly DiskTrouble[] = ['full', 'read', 'write', 'sync', 'short'];
const EVILS: readonly Evil[] = ['stranger', 'too-few', 'other-bytes'];
const SQLITE_FULL = 13;
const SQLITE_IOERR = 10;

export function makePlan(seed: number): Plan {
  const random = new Random(seed * 2 + 1);
  const troubleNs = (3 + random.unit() * 10) * S;
  const draw = new Draw(random, 0.15 + 0.45 * random.unit(), troubleNs);
  const settings = settingsOf(draw);
  const inputs = inputsOf(draw, settings, troubleNs);
  const powerful = draw.has();
  const restore = draw.has(0.3) ? restoreOf(draw, troubleNs) : undefined;
  // A sender that is set back while its clock is set back too gives sessions out twice (PROTOCOL.md S-1): the one thing that an operator must not do.
  const least = restore?.machine === 'staging' ? 0 : -4e6;
  return {
    ...{ seed, settings, inputs, troubleNs },
    fibre: fibreOf(draw),
    outages: draw.maybe(4, () => draw.window(2 * S)),
    drift: {
      staging: draw.has() ? draw.between(-2e-4, 2e-4) : 0,
      isolated: draw.has() ? draw.between(-2e-4, 2e-4) : 0,
    },
    steps: draw.maybe(3, () => ({
      at: draw.moment(),
      machine: draw.pick(MACHINES),
      ms: Math.round(draw.between(least, 4e6)),
    })),
    kills: draw.maybe(6, () => ({ at: draw.moment(), process: draw.pick(PROCESSES) })),
    powerLosses: powerful ? draw.some(3, () => ({ at: draw.moment(), machine: draw.pick(MACHINES) })) : [],
    strike: draw.has() ? 10 ** draw.between(-3.3, -1.7) : 0,
    strikeLink: draw.pick([0.25, 1, 4]),
    power: powerful ? draw.between(0, 1) : 0,
    tears: random.chance(0.8),
    oneDisk: random.chance(0.6),
    slowSync: draw.has(0.6) ? draw.between(0, 0.3) : 0,
    disks: draw.maybe(3, () => ({
      ...draw.window(4 * S),
      ...{ mount: draw.pick(MOUNTS), trouble: draw.pick(TROUBLES), chance: 10 ** draw.between(-2, 0) },
    })),
    ledger: draw.maybe(
      2,
      () => ({
        ...draw.window(3 * S),
        ...{ errcode: draw.pick([SQLITE_FULL, SQLITE_IOERR]), chance: draw.between(0.05, 1) },
      }),
      0.6,
    ),
    flips: draw.maybe(3, () => ({ at: draw.moment() }), 0.7),
    redis: {
      down: draw.maybe(3, () => draw.window(4 * S)),
      flushes: draw.maybe(3, () => draw.moment()),
      stall: draw.has(0.6) ? draw.between(0, 0.2) : 0,
      deaf: draw.has(0.6) ? draw.between(0, 1) : 0,
      forges: draw.maybe(3, () => draw.moment(), 0.5),
    },
    registry: {
      fail: draw.has() ? draw.between(0, 0.4) : 0,
      stall: draw.has(0.6) ? draw.between(0, 0.2) : 0,
      lie: draw.has(0.6) ? draw.between(0, 0.2) : 0,
    },
    tickets: { at: draw.maybe(3, () => draw.moment()), alone: restore === undefined && random.chance(0.3) },
    restore,
    refusals: draw.maybe(2, () => draw.window(2 * S), 0.5),
    strikeCommit: draw.has(0.7) ? draw.between(0.01, 0.2) : 0,
  };
}

function restoreOf(draw: Draw, troubleNs: number): NonNullable<Plan['restore']> {
  const taken = draw.between(0.1, 0.6) * troubleNs;
  return { machine: draw.pick(MACHINES), taken, at: draw.between(taken + S, troubleNs) };
}

function settingsOf(draw: Draw): Settings {
  const { random } = draw;
  // Short blocks as often as long ones: with them even small objects have several, and a map.
  const maxBlock = random.chance(0.5) ? 2 + random.below(6) : 4 + random.below(40);
  return {
    channels: random.chance(0.5) ? ['prod'] : ['prod', 'lab'],
    symbolBytes: draw.pick([256, 384, 512]),
    maxBlock,
    repair: 1 + random.below(Math.max(1, maxBlock >>> 1)),
    rate: draw.pick([3e5, 1e6, 3e6, 2e7]),
    passes: 1 + random.below(4),
    gapMs: 200 + random.below(3000),
    gmac: random.chance(0.5),
    batches: random.chance(0.15),
    blockBytes: draw.pick([2 ** 18, 2 ** 20]),
    unsignedBytesHeld: draw.pick([16_384, 65_536, 2 ** 20]),
    spoolBytes: draw.pick([2 ** 19, 2 ** 22]),
    // No less than the largest object: what comes at once finds room, as with the least that the configuration takes.
    queueBytes: draw.pick([2 ** 17, 2 ** 20]),
    sweeps: random.chance(0.5),
    keptMs: draw.pick([1000, 5000, 1e7]),
    storeBytes: draw.pick([4096, 2 ** 16, UNBOUNDED]),
  };
}

function inputsOf(draw: Draw, { channels }: Settings, troubleNs: number): InputPlan[] {
  const { random } = draw;
  const base = random.chance(0.5) ? 1 + random.below(3000) : 0;
  return Array.from({ length: 1 + random.below(4) }, (_, i) => {
    const channel = draw.pick(channels);
    const sizes = draw.some(4, () => Math.floor(2 ** draw.between(0, 12.5)));
    // One that takes longer than the spool waits with its maps.
    if (random.chance(0.15)) sizes.push(20_000 + random.below(30_000));
    const paths = random.chance(0.5) ? [`${channel}/current`] : [];
    const evil = random.chance(0.15) ? draw.pick(EVILS) : undefined;
    const at = i === 0 ? 0 : random.unit() * troubleNs * 0.8;
    const image = random.chance(0.4) ? 1 + random.below(3000) : 0;
    return { id: `input-${String(i)}`, channel, at, evil, sizes, paths, packed: random.chance(0.6), image, base };
  });
}

function fibreOf(draw: Draw): FibreFaults {
  const share = (most: number, weight = 1): number => (draw.has(weight) ? draw.random.unit() * most : 0);
  const bursts = draw.has();
  return {
    ...CLEAR,
    loss: share(0.3),
    badBegins: bursts ? draw.between(0, 0.05) : 0,
    badEnds: draw.between(0.02, 0.5),
    badLoss: bursts ? draw.between(0.3, 1) : 0,
    duplicate: share(0.2),
    reorder: share(0.3),
    reorderNs: draw.between(1e5, 4e8),
    corrupt: share(0.1),
    truncate: share(0.05),
    foreign: share(0.3),
    forge: share(0.3),
    replay: share(0.4),
  };
}
