import { Worker } from 'node:worker_threads';
import { Pulse } from '@sluice/base';
import type { SpooledObject } from '../inventory.ts';
import { stampAt } from '../spooled.ts';
import type { Finished, FromSpoolThread, SpoolFile, ToSpoolThread } from './messages.ts';

/** An object of the spool, which may not be whole yet. */
export type FollowedObject = Pick<SpooledObject, 'channel' | 'key' | 'digest' | 'size' | 'path'>;

interface Waiting {
  readonly resolve: (finished: Finished) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Hashes what lies in the spool, in a thread of its own: the receiver answers within milliseconds whatever is hashed. A file may be followed while it is
 * written, so that at its end only the end is left. An answer is kept for who asks again, as long as the file is the same.
 */
export class SpoolChecks {
  readonly #worker: Worker;
  readonly #pulse = new Pulse();
  readonly #waiting = new Map<number, Waiting>();
  readonly #known = new Map<string, Promise<Finished>>();
  #last = 0;
  /** Resolves when the thread was stopped; rejects when it failed. */
  readonly ended: Promise<void>;

  constructor() {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), {
      name: 'spool',
      workerData: this.#pulse.shared,
    });
    this.#worker.on('message', (message: FromSpoolThread) => {
      this.#hear(message);
    });
    this.ended = new Promise((resolve, reject) => {
      this.#worker.once('error', reject);
      this.#worker.once('exit', () => {
        resolve();
      });
    });
  }

  /** Milliseconds for which the thread, which has something to do, has not moved; 0 otherwise. */
  get stillMs(): number {
    return this.#pulse.stillMs(this.#waiting.size > 0);
  }

  /** The first `bytes` bytes of the object are on disk, under its path of now, and stay as they are. */
  follow(object: FollowedObject, bytes: number): void {
    this.#post({ type: 'follow', file: fileOf(object), bytes });
  }

  /** Begins to hash a whole object that will be asked for. */
  begin(object: FollowedObject, asPack: boolean): void {
    // Whoever asks for it hears what is wrong.
    this.#check(object, asPack).catch(() => undefined);
  }

  /** What a whole object is: hashed, and taken apart when it is to be a pack. Rejects with an error of the file system. */
  async finish(object: FollowedObject, asPack: boolean): Promise<Finished> {
    const known = this.#known.get(nameOf(object, asPack));
    if (known === undefined) return this.#check(object, asPack);
    const finished = await known;
    // Whoever can write to the spool could have exchanged it since.
    if (finished.type !== 'holds' || (await stampAt(object.path)) === finished.stamp) return finished;
    this.drop(object);
    return this.#check(object, asPack);
  }

  /** True when the file holds what the object's digest says. */
  async holds(object: FollowedObject): Promise<boolean> {
    return (await this.finish(object, false)).type === 'holds';
  }

  /** The object is gone, or begins anew. */
  drop(object: FollowedObject): void {
    for (const asPack of [false, true]) this.#known.delete(nameOf(object, asPack));
    this.#post({ type: 'drop', name: fileOf(object).name });
  }

  /** Ends the thread wherever it is: what it was about is hashed anew after the next start. */
  async stop(): Promise<void> {
    const error = Object.assign(new Error('the receiver stops'), { code: 'ECANCELED' });
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    await this.#worker.terminate();
  }

  #check(object: FollowedObject, asPack: boolean): Promise<Finished> {
    const name = nameOf(object, asPack);
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    this.#last += 1;
    const call = this.#last;
    const checking = new Promise<Finished>((resolve, reject) => {
      this.#waiting.set(call, { resolve, reject });
      this.#post({ type: 'finish', call, file: fileOf(object), asPack });
    });
    this.#known.set(name, checking);
    // Only what holds is worth keeping; anything else is looked at anew.
    const forget = (): void => {
      if (this.#known.get(name) === checking) this.#known.delete(name);
    };
    checking.then((finished) => {
      if (finished.type !== 'holds') forget();
    }, forget);
    return checking;
  }

  #post(message: ToSpoolThread): void {
    this.#worker.postMessage(message);
  }

  #hear(message: FromSpoolThread): void {
    const waiting = this.#waiting.get(message.call);
    this.#waiting.delete(message.call);
    if ('finished' in message) waiting?.resolve(message.finished);
    else waiting?.reject(Object.assign(new Error(message.failure.message), { code: message.failure.code }));
  }
}

const nameOf = ({ channel, key }: FollowedObject, asPack: boolean): string =>
  `${channel}/${key}/${asPack ? 'pack' : 'file'}`;

const fileOf = ({ channel, key, path, digest, size }: FollowedObject): SpoolFile => ({
  name: `${channel}/${key}`,
  path,
  digest,
  size,
});
