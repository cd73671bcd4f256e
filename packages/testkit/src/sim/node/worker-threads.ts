// In the place of `node:worker_threads` for the code that runs in a world: what a thread does, it does in this one.
import { kernel, self, type Process } from '../kernel.ts';

// What nobody in a world calls is only there to be named.
export * from 'node:worker_threads';

/** The code of a thread: begins with what it was given, and hears messages. */
export type Thread = (data: unknown, tell: (message: unknown) => void) => (message: unknown) => void;

const threads = new Map<string, Thread>();

/** What runs in a thread of this name. */
export function registerThread(name: string, thread: Thread): void {
  threads.set(name, thread);
}

/** As `structuredClone`, which takes several times as long for the plain values that most messages are. */
function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copyOf);
  if (value instanceof Uint8Array && value.buffer instanceof ArrayBuffer) return new Uint8Array(value);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype) return structuredClone(value);
  const copy: Record<string, unknown> = {};
  for (const [name, each] of Object.entries(value)) copy[name] = copyOf(each);
  return copy;
}

type Listener = (value: unknown) => void;

const HOP_NS = 20_000;

export class Worker {
  readonly #process: Process;
  readonly #listeners = new Map<string, Listener[]>();
  readonly #thread: (message: unknown) => void;
  #ended = false;

  constructor(_url: URL, options: { readonly name: string; readonly workerData?: unknown }) {
    const thread = threads.get(options.name);
    if (thread === undefined) throw new Error(`the simulation has no thread ${options.name}`);
    this.#process = self();
    this.#thread = thread(options.workerData, (message) => {
      const copy = copyOf(message);
      this.#later(() => this.#emit('message', copy));
    });
  }

  on(event: string, listener: Listener): this {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return this;
  }

  once(event: string, listener: Listener): this {
    return this.on(event, listener);
  }

  postMessage(message: unknown): void {
    const copy = copyOf(message);
    this.#later(() => this.#thread(copy));
  }

  terminate(): Promise<number> {
    this.#ended = true;
    return Promise.resolve(1);
  }

  ref(): void {
    // Nothing is kept alive by anything here.
  }

  unref(): void {
    // Likewise.
  }

  #later(run: () => void): void {
    kernel().after(HOP_NS, this.#process, () => {
      if (!this.#ended) run();
    });
  }

  #emit(event: string, value: unknown): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(value);
  }
}

export const parentPort = null;
export const workerData = undefined;
