import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../packages/testkit/src/random.ts';
import { until } from '../world/processes.ts';
import { type ChaosCase, must } from './case.ts';
import { MIB } from './content.ts';
import { PLACES } from './places.ts';
import { daemonWith, Rig } from './rig.ts';

const HOOK = join(import.meta.dirname, 'kill-hook.ts');
const LAYERS = [96 * MIB, 64 * MIB, 64 * MIB, 32 * MIB];
/** Kills from outside of each of the two that have no places of their own. */
const OTHERS = 4;
/** How much of a pass the sender has at least sent when it is killed, bytes. */
const SENDER_AT = [0, 30 * MIB, 90 * MIB, 160 * MIB];
const DEADLINE_MS = 900_000;

/** Kills at every place in the isolated side's text, and of the sender and Redis meanwhile, while bundles of 256 MiB come. */
export const kill: ChaosCase = {
  name: 'kill',
  about: 'kill -9 of each process, at least four times in each stop 9 to 15, under bundles of 256 MiB at 2 % loss',
  run: async (figures) => {
    await using rig = await Rig.create({
      name: 'kill',
      lossPercent: 2,
      wrap: (argv, dir) =>
        daemonWith(argv, { NODE_OPTIONS: `--import ${HOOK}`, SLUICE_CHAOS_ORDERS: join(dir, 'orders') }),
      tune: ({ sender }) => {
        sender.link.rate = '300Mbit/s';
        sender.carousel = { passes: 20, gap: '1s' };
      },
    });
    const orders = join(rig.dir, 'orders');
    mkdirSync(orders);
    await rig.startAll();
    rig.keep('sender', 'receiver', 'importer', 'redis');
    const random = new Random(1);
    for (const { name, pass } of PLACES) writeFileSync(join(orders, name), String(random.below(pass)));
    const bundles = [await submit(rig, 1)];
    const others = new Others(rig);
    const isLeft = (): boolean => readdirSync(orders).length > 0 || others.left > 0;
    const killing = others.run();
    // Awaited below; until then a failure of it is none of ours to end the process.
    killing.catch(() => undefined);
    // What one bundle passes only once, and was passed before its turn came, the next one passes again.
    while (isLeft()) {
      const places = readdirSync(orders).join(', ');
      must(bundles.length < 5, `nothing came by ${places}, and ${String(others.left)} kills from outside are left`);
      await rig.world.bundle(bundles.length, ['imported'], DEADLINE_MS);
      if (isLeft()) bundles.push(await submit(rig, bundles.length + 1));
    }
    await killing;
    for (const { sequence } of bundles) await rig.world.bundle(sequence, ['imported'], DEADLINE_MS);
    for (const [at, { image }] of bundles.entries()) rig.mustHave(image, 'killed', String(at + 1));
    must(!existsSync(join(rig.dir, 'quarantine')), 'a bundle is in quarantine');
    must(rig.diode.egressCount() === 0, 'the isolated side offered a frame to the link');
    const done = new Set(readFileSync(`${orders}.done`, 'utf8').trim().split('\n'));
    for (const stop of [9, 10, 11, 12, 13, 14, 15]) {
      const killed = PLACES.filter((place) => place.stop === stop && done.has(place.name));
      must(killed.length >= 4, `only ${String(killed.length)} kills in stop ${String(stop)}`);
      figures[`stop ${String(stop)}`] = `${String(killed.length)} kills (${killed.map(({ name }) => name).join(' ')})`;
    }
    Object.assign(figures, others.figures, {
      bundles: bundles.length,
      imported: bundles.length,
      'digests equal': true,
    });
    figures['datagrams lost'] = rig.diode.ingressDropped();
  },
};

/** A sender that is being started again takes nothing: then it is handed over a little later. */
const submit = (rig: Rig, number: number): Promise<ReturnType<Rig['submitImage']>> =>
  until('the sender to take a bundle', DEADLINE_MS, () => {
    try {
      return rig.submitImage('killed', String(number), LAYERS);
    } catch {
      return undefined;
    }
  });

/** The sender in the middle of a pass, and Redis in the middle of an import, each so often. */
class Others {
  readonly #rig: Rig;
  readonly #sender: string[] = [];
  readonly #redis: string[] = [];

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  get left(): number {
    return 2 * OTHERS - this.#sender.length - this.#redis.length;
  }

  get figures(): Record<string, string> {
    return {
      'sender killed in mid-pass at': this.#sender.join(' '),
      'redis-server killed in stop 15 at': this.#redis.join(' '),
    };
  }

  async run(): Promise<void> {
    const often = async (list: readonly string[], act: () => Promise<void>): Promise<void> => {
      while (list.length < OTHERS) await act();
    };
    await Promise.all([often(this.#sender, () => this.#killSender()), often(this.#redis, () => this.#killRedis())]);
  }

  async #killSender(): Promise<void> {
    const { world } = this.#rig;
    const bytes = await until('a pass to be on air', DEADLINE_MS, async () => {
      const page = await world.get<{ items: { progress?: { sentBytes: number } }[] }>('sender', '/v1/bundles');
      const sent = Math.max(0, ...(page?.items.map(({ progress }) => progress?.sentBytes ?? 0) ?? []));
      return sent > (SENDER_AT[this.#sender.length] ?? 0) ? sent : undefined;
    });
    world.program('sender').kill('SIGKILL');
    this.#sender.push(`${String(Math.round(bytes / MIB))} MiB`);
    await until('the sender to answer', DEADLINE_MS, () => world.get('sender', '/v1/status'));
  }

  async #killRedis(): Promise<void> {
    const { world } = this.#rig;
    const stop = await until('an import to be under way', DEADLINE_MS, async () => {
      const status = await world.get<{ active: { stop: string }[] }>('importer', '/v1/status');
      return status?.active[0]?.stop;
    });
    world.program('redis').kill('SIGKILL');
    this.#redis.push(stop);
    await until('the importer to have its queue again', DEADLINE_MS, async () => {
      const status = await world.get<{ queueConnected: boolean }>('importer', '/v1/status');
      return !world.program('redis').ended && status?.queueConnected === true ? true : undefined;
    });
  }
}
