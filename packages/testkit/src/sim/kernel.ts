import { Random } from '../random.ts';

/** A process of the simulation was ended: nothing that it still tries to do happens. */
export class Crash extends Error {
  constructor() {
    super('the process is gone');
    this.name = 'Crash';
  }
}

/** A host with clocks of its own. */
export interface Machine {
  readonly name: string;
  /** Share by which its clocks run fast. */
  readonly drift: number;
  /** Unix milliseconds at the beginning of the world; steps are added to it. */
  wallMs: number;
}

/** One life of one process: a restart makes another. */
export interface Process {
  readonly name: string;
  readonly machine: Machine;
  alive: boolean;
}

export interface Timer {
  cancelled: boolean;
}

interface Event extends Timer {
  readonly at: number;
  readonly order: number;
  readonly process: Process | undefined;
  readonly run: () => void;
}

const real = {
  setImmediate: globalThis.setImmediate,
  setTimeout: globalThis.setTimeout,
  setInterval: globalThis.setInterval,
  clear: globalThis.clearTimeout,
  performanceNow: performance.now.bind(performance),
  dateNow: Date.now,
  random: Math.random,
};

/** Milliseconds of the real clock, for how long a run takes. */
export const realMs = (): number => real.performanceNow();

/** Lets every promise that can settle do so, and what was put off by `nextTick` run: what Node does after each callback. */
const settle = Reflect.get(process, '_tickCallback') as () => void;

/**
 * The one loop in which a world runs: events in the order of their virtual time, and after each all promises that it
 * settles. What runs in between belongs to the process of the event, which is how the simulated ports know their caller.
 */
export class Kernel {
  readonly random: Random;
  /** Nanoseconds since the world began. */
  now = 0;
  current: Process | undefined;
  /** Hears of an error that nobody caught: the process dies of it. */
  onMistake: (process: Process | undefined, error: unknown) => void = (_process, error) => {
    throw error;
  };
  events = 0;
  #order = 0;
  readonly #heap: Event[] = [];

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** Runs `run` as the process, if it still lives then. */
  after(ns: number, process: Process | undefined, run: () => void): Timer {
    this.#order += 1;
    const event = { at: this.now + Math.max(0, ns), order: this.#order, process, run, cancelled: false };
    this.#push(event);
    return event;
  }

  /** The present moment on the monotonic clock of the process that runs, milliseconds. */
  uptimeMs(): number {
    return (this.now / 1e6) * (1 + (this.current?.machine.drift ?? 0));
  }

  wallMs(): number {
    return Math.floor((this.current?.machine.wallMs ?? 0) + this.uptimeMs());
  }

  /** Runs until nothing is left to do, `until` is reached or `done` says so. */
  run(until: number, done: () => boolean = () => false): Promise<void> {
    // Outside of any promise: one that runs would keep the others from being settled.
    return new Promise((resolve, reject) => {
      real.setImmediate(() => {
        const leave = enter(this);
        try {
          this.#loop(until, done);
          resolve();
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        } finally {
          leave();
        }
      });
    });
  }

  #loop(until: number, done: () => boolean): void {
    for (let next = this.#pop(until); next !== undefined && !done(); next = this.#pop(until)) {
      this.now = next.at;
      if (next.cancelled || next.process?.alive === false) continue;
      this.events += 1;
      this.current = next.process;
      this.#step(next.run);
      while (!this.#step(settle));
      this.current = undefined;
    }
    this.now = Math.max(this.now, Math.min(until, this.#heap[0]?.at ?? until));
  }

  /** What is left of the present event, and what it settles, is the process's. */
  become(process: Process): void {
    this.current = process;
  }

  /** An error that no code of the process caught. */
  uncaught(error: unknown): void {
    if (!(error instanceof Crash)) this.onMistake(this.current, error);
  }

  /** False where it threw what nobody caught. */
  #step(run: () => void): boolean {
    try {
      run();
      return true;
    } catch (error) {
      this.uncaught(error);
      return false;
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >>> 1;
      const parent = heap[above];
      if (parent === undefined || isBefore(parent, event)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  #pop(until: number): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.at > until) return undefined;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const [left, right] = [heap[below], heap[below + 1]];
      if (left === undefined) break;
      if (right !== undefined && isBefore(right, left)) below += 1;
      const child = heap[below];
      if (child === undefined || isBefore(last, child)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

let running: Kernel | undefined;

/** The kernel whose world runs, for the simulated ports. */
export function kernel(): Kernel {
  if (running === undefined) throw new Error('no world runs');
  return running;
}

/** The process that runs. @throws Crash when it has ended */
export function self(): Process {
  const process = kernel().current;
  if (process === undefined) throw new Error('this must run as a process of the world');
  if (!process.alive) throw new Crash();
  return process;
}

type Callback = (...args: unknown[]) => void;

/** What `setTimeout` gives back: enough of it for the code that is run. */
class SimulatedTimer {
  readonly timer: Timer;
  constructor(timer: Timer) {
    this.timer = timer;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

function start(callback: Callback, ms: number, args: unknown[]): SimulatedTimer {
  const process = self();
  const ns = (Math.max(1, ms) * 1e6) / (1 + process.machine.drift);
  return new SimulatedTimer(kernel().after(ns, process, () => callback(...args)));
}

function repeat(callback: Callback, ms: number): SimulatedTimer {
  const process = self();
  const ns = (Math.max(1, ms) * 1e6) / (1 + process.machine.drift);
  const ours: Timer = { cancelled: false };
  const again = (): void => {
    kernel().after(ns, process, () => {
      if (ours.cancelled) return;
      again();
      callback();
    });
  };
  again();
  return new SimulatedTimer(ours);
}

const clear = (timer: unknown): void => {
  if (timer instanceof SimulatedTimer) timer.timer.cancelled = true;
  else real.clear(timer as NodeJS.Timeout | undefined);
};

/** Puts the clocks, timers and the chance of one world in the place of the real ones; gives what undoes it. */
function enter(world: Kernel): () => void {
  if (running !== undefined) throw new Error('one world at a time');
  running = world;
  const globals = {
    setTimeout: (callback: Callback, ms = 1, ...args: unknown[]) => start(callback, ms, args),
    setInterval: (callback: Callback, ms = 1) => repeat(callback, ms),
    setImmediate: (callback: Callback, ...args: unknown[]) => {
      const process = self();
      return new SimulatedTimer(world.after(1000, process, () => callback(...args)));
    },
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: clear,
  };
  const before = Object.fromEntries(
    Object.keys(globals).map((name) => [name, Reflect.get(globalThis, name) as unknown]),
  );
  Object.assign(globalThis, globals);
  Object.defineProperty(performance, 'now', { value: () => world.uptimeMs(), configurable: true });
  Date.now = () => world.wallMs();
  Math.random = () => world.random.unit();
  const uncaught = (error: unknown): void => world.uncaught(error);
  process.on('unhandledRejection', uncaught);
  process.on('uncaughtException', uncaught);
  return () => {
    running = undefined;
    Object.assign(globalThis, before);
    Object.defineProperty(performance, 'now', { value: real.performanceNow, configurable: true });
    Date.now = real.dateNow;
    Math.random = real.random;
    process.off('unhandledRejection', uncaught);
    process.off('uncaughtException', uncaught);
  };
}
