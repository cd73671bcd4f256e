import type { Digest } from '@sluice/ports';
import type { Sealed } from './checker.ts';
import { digestOf } from './inputs.ts';
import { checkStoredAtRest } from './stored.ts';
import { type Outcome, World } from './world.ts';

const S = 1e9;
/** From the end of the trouble until every side has come up and heard the other. */
const RECOVER_NS = 8 * S;
/** From the clean pass on until all of it must be done. */
const REST_NS = 400 * S;
/** How long a pass of everything may take. */
const PASS_NS = 60 * S;
/** Passes more that what had turned over may need. */
const ROTTEN_PASSES = 3;
const LOOK_NS = 1 * S;
/** Between the tickets of one round and those of the next. */
const TICKETS_NS = 7 * S;

/** How long what is under way into the spool may take. */
const WRITTEN_NS = 3 * S;

/** Runs the world of a seed to its end. */
export async function runWorld(seed: number): Promise<Outcome> {
  const world = new World(seed);
  return world.live(async () => {
    await world.trouble();
    world.mend();
    await advance(world, RECOVER_NS);
    checkNamed(world);
    if (world.plan.tickets.alone) ticketsAlone(world);
    else {
      passAgain(world);
      await comeToRest(world, PASS_NS);
      // What had turned over shows once the part or the bundle is whole, one after the other: it is gathered anew from then on.
      for (let n = 0; n < ROTTEN_PASSES && world.checker.rotten && !isDone(world); n += 1) {
        passAgain(world);
        await comeToRest(world, PASS_NS);
      }
    }
    await comeToRest(world, REST_NS);
    await advance(world, WRITTEN_NS, lookIntoStore(world));
    // A history that comes at this very moment is written first.
    await advance(world, WRITTEN_NS, () => isWritten(world));
    checkRest(world);
    const { kernel, checker, story } = world;
    return {
      ...{ seed, violations: checker.violations, faults: world.counts(), story },
      ...{ virtualSeconds: kernel.now / S, events: kernel.events },
      ...{ sent: world.fibre.counts.sent },
    };
  });
}

async function advance(world: World, ns: number, done: () => boolean = () => false): Promise<void> {
  const { kernel } = world;
  const until = kernel.now + ns;
  while (kernel.now < until && !done()) await kernel.run(Math.min(until, kernel.now + LOOK_NS));
}

/** Until all is done, and is still after two seconds: a bundle that just failed for damage in the store is opened again within milliseconds. */
async function comeToRest(world: World, ns: number): Promise<void> {
  const until = world.kernel.now + ns;
  do {
    await advance(world, until - world.kernel.now, () => isDone(world));
    await advance(world, 2 * S);
  } while (!isDone(world) && world.kernel.now < until);
}

/** What the sender has sealed, and still knows of: one that was set back has forgotten some, and nobody sends them again. */
function sealedOf(world: World): Sealed[] {
  world.lookAtSealed();
  const database = world.databases.at('/staging/state/ledger.sqlite');
  const known = world.databases.prepared(database, 'SELECT 1 FROM bundles WHERE id = ?');
  return [...world.checker.sealed.values()].filter(({ id }) => known.get(id) !== undefined);
}

const good = (world: World): Sealed[] => sealedOf(world).filter(({ input }) => input.evil === undefined);

/** Bundles whose numbers a sender that was set back gave out again: the receiver names the one it has refused. */
const mayClash = (world: World): boolean => world.restored.size > 0;

function stateOf(world: World, { id }: Sealed): string | undefined {
  const ledger = world.databases.at('/isolated/state/ledger.sqlite');
  const row = world.databases.prepared(ledger, 'SELECT state, code FROM bundles WHERE id = ?').get(id);
  return row === undefined ? undefined : `${String(row.state)}${row.code === '' ? '' : `: ${String(row.code)}`}`;
}

const isOver = (state: string | undefined): boolean => /^(imported|quarantined|failed)/.test(state ?? '');

function isDone(world: World): boolean {
  const ledger = world.databases.at('/isolated/state/ledger.sqlite');
  const waiting = world.databases.prepared(ledger, 'SELECT 1 FROM outbox').get();
  if (waiting !== undefined) return false;
  return sealedOf(world).every((sealed) => isOver(stateOf(world, sealed)));
}

/** Each bundle that was sealed is known to the receiver: by its statement, or as a number that is missing. */
function checkNamed(world: World): void {
  const { receiver } = world.running;
  if (receiver === undefined || mayClash(world)) return;
  as(world, 'receiver', () => {
    for (const sealed of sealedOf(world)) {
      if (stateOf(world, sealed) !== undefined) continue;
      const { channel } = sealed.input;
      if (!receiver.ledger.missing(channel, 1000).includes(sealed.sequence))
        world.checker.broken(
          'every bundle is named',
          `${sealed.input.id}, sequence ${String(sealed.sequence)} of ${channel}`,
        );
    }
  });
}

/** The operator has the sender send everything once more. */
function passAgain(world: World): void {
  world.say('WORLD', 'one more pass of everything');
  as(world, 'sender', () => {
    const { sender } = world.running;
    for (const { id } of sealedOf(world)) {
      // All of it, wherever an earlier pass was cut off.
      sender?.ledger.passGoesOn(id, 0, 'none', 0);
      sender?.transmission.send(id);
    }
  });
}

/** The operator has tickets issued and served, and nothing sent again but what is too old for them. */
function ticketsAlone(world: World): void {
  world.say('WORLD', 'tickets for all that lacks');
  const round = (): void => {
    world.operator.repair();
    world.kernel.after(TICKETS_NS, undefined, round);
  };
  round();
}

/** Does something as a process of the world. */
function as(world: World, name: string, run: () => void): void {
  const process = [...world.processes()].find((each) => each.name === name && each.alive);
  if (process === undefined) {
    world.checker.broken('the system comes to rest', `${name} does not run`);
    return;
  }
  world.kernel.after(0, process, run);
}

/** Looks into the store in turn with what is taken out of it; tells when that is done. */
function lookIntoStore(world: World): () => boolean {
  const { receiver } = world.running;
  let looked = false;
  as(world, 'receiver', () => {
    void receiver?.pipeline.alone(async () => {
      await Promise.resolve();
      checkStoredAtRest(world);
      looked = true;
    });
  });
  return () => looked;
}

/** After faults stopped: every good bundle imported, nothing evil let in, nothing waiting, nothing held. */
function checkRest(world: World): void {
  const { checker, running } = world;
  for (const sealed of sealedOf(world)) {
    const state = stateOf(world, sealed);
    const named = `${sealed.input.id}, sequence ${String(sealed.sequence)} of ${sealed.input.channel}, is ${state ?? 'unknown'}`;
    if (sealed.input.evil !== undefined && /^(published|queued|imported)/.test(state ?? ''))
      checker.broken('nothing is published before verification', named);
    if (!isOver(state)) checker.broken('every bundle comes to its end', named);
  }
  for (const sealed of good(world)) {
    const state = stateOf(world, sealed);
    if (state !== 'imported' && isOver(state) && !mayClash(world))
      checker.broken('nothing verified is lost', `${sealed.input.id} is ${state ?? 'unknown'}`);
  }
  world.checkChains();
  checkSpool(world);
  // Of bundles that a sender has forgotten which was set back, what lacks is named for ever.
  const known = new Set(sealedOf(world).map(({ id }) => id));
  const open = running.receiver?.pipeline.open.filter(({ transport }) => known.has(transport.id)) ?? [];
  if (open.length > 0) checker.broken('the system comes to rest', `${String(open.length)} bundles are open`);
  checkDelivered(world);
}

/** Bytes of objects that lie in link's spool. */
function lyingIn({ mounts }: World): number {
  const files = mounts
    .disk('isolated', 'spool')
    .files()
    .filter(({ path }) => path.startsWith('/spool/'));
  const lying = files.filter(({ path }) => /\.(part|whole)$/.test(path));
  return lying.reduce((sum, { file }) => sum + file.bytes.length, 0);
}

function isWritten(world: World): boolean {
  const spool = world.running.link?.pipeline.spool;
  return spool === undefined || (spool.queuedBytes === 0 && spool.bytes <= lyingIn(world));
}

/** What link accounts for is what lies in its spool. */
function checkSpool(world: World): void {
  const { checker, running } = world;
  if (running.link === undefined) return;
  const { spool } = running.link.pipeline;
  if (spool.queuedBytes > 0) checker.broken('the system comes to rest', 'blocks wait to be written');
  const most = lyingIn(world);
  if (spool.bytes > most)
    checker.broken(
      'budgets are released',
      `link accounts for ${String(spool.bytes)} bytes, and ${String(most)} lie in its spool`,
    );
}

/** Every file and tag of an imported bundle is in its place, or a newer bundle's is. */
function checkDelivered(world: World): void {
  if (world.restored.size > 0) return;
  const places = new Map<string, { readonly sealed: Sealed; readonly digest: Digest }>();
  for (const sealed of good(world)) {
    if (stateOf(world, sealed) !== 'imported') continue;
    for (const [place, digest] of [...sealed.input.files, ...sealed.input.tags]) {
      const known = places.get(place);
      if (known === undefined || known.sealed.sequence < sealed.sequence) places.set(place, { sealed, digest });
    }
  }
  for (const [place, { sealed, digest }] of places) {
    const isTag = sealed.input.tags.has(place);
    const found = isTag ? tagOf(world, place) : fileOf(world, place);
    if (found !== digest) world.checker.broken('what was imported is there', `${place} of ${sealed.input.id}`);
  }
}

function fileOf({ mounts }: World, path: string): Digest | undefined {
  const { disk, parts } = mounts.place(`/isolated/files/site/${path}`);
  const node = disk.find(parts);
  return node?.kind === 'file' ? digestOf(node.bytes) : undefined;
}

function tagOf({ harbor }: World, place: string): Digest | undefined {
  const [repository = '', tag = ''] = place.split(':');
  return harbor.repositories.get(repository)?.tags.get(tag);
}
