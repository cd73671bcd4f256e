import { Worker } from 'node:worker_threads';
import { Pulse } from '@sluice/base';
import type { VerifiedTransport } from '@sluice/bundle';
import type { ChannelContext } from '@sluice/policy';
import type { FromJudge, JudgeData, Judgement, JudgeOptions, JudgeTrust, StatementFile, ToJudge } from './messages.ts';

/** As `Judgement`; a transport statement is one that `verifyTransport` made. */
export type Judged =
  | Exclude<Judgement, { readonly type: 'transport' }>
  | { readonly type: 'transport'; readonly transport: VerifiedTransport };

/** A statement in a file, and by whose key it came. */
export type JudgedFile = StatementFile & { readonly channel: string };

interface Waiting {
  readonly resolve: (judgement: Judged) => void;
  readonly reject: (error: unknown) => void;
}

const optionsOf = (channels: Iterable<Pick<ChannelContext, 'policy' | 'verifiers'>>): JudgeOptions => ({
  channels: [...channels].map(({ policy, verifiers }) => ({
    policy,
    keys: [...verifiers.values()].map(({ pem }) => pem),
  })),
});

/**
 * Judges statements in a thread of its own: a release of 100,000 files takes a second or more, and the receiver answers within milliseconds meanwhile.
 */
export class Judge {
  readonly #worker: Worker;
  readonly #pulse = new Pulse();
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  /** Resolves when the thread was stopped; rejects when it failed. */
  readonly ended: Promise<void>;

  constructor(channels: Iterable<Pick<ChannelContext, 'policy' | 'verifiers'>>) {
    const workerData: JudgeData = { ...optionsOf(channels), pulse: this.#pulse.shared };
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { name: 'judge', workerData });
    this.#worker.on('message', (message: FromJudge) => {
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

  /** Other policies and keys: what is asked from here on is judged by them. */
  trust(channels: Iterable<Pick<ChannelContext, 'policy' | 'verifiers'>>): void {
    const message: JudgeTrust = { ...optionsOf(channels), call: 0 };
    this.#worker.postMessage(message);
  }

  /** What a statement is: hashed, then judged by policy and keys of its channel. Rejects with an error of the file system. */
  any(object: JudgedFile, limit: number): Promise<Judged> {
    return this.#ask(object, limit, undefined);
  }

  /** The same for one that a transport statement names as its release. Versions are not compared. */
  release(object: JudgedFile, limit: number, transport: VerifiedTransport): Promise<Judged> {
    return this.#ask(object, limit, transport);
  }

  /** Ends the thread wherever it is: statements are judged anew after the next start. */
  async stop(): Promise<void> {
    const error = Object.assign(new Error('the receiver stops'), { code: 'ECANCELED' });
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    await this.#worker.terminate();
  }

  #ask({ channel, ...file }: JudgedFile, limit: number, transport?: VerifiedTransport): Promise<Judged> {
    this.#last += 1;
    const call = this.#last;
    const { path, digest, size, bytes } = file;
    const there = bytes === undefined ? { path, digest, size } : { path, digest, size, bytes };
    const message: ToJudge = { call, channel, file: there, limit, transport: transport?.statement };
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, { resolve, reject });
      this.#worker.postMessage(message);
    });
  }

  #hear(message: FromJudge): void {
    const waiting = this.#waiting.get(message.call);
    this.#waiting.delete(message.call);
    if ('judgement' in message) waiting?.resolve(message.judgement as Judged);
    else waiting?.reject(Object.assign(new Error(message.failure.message), { code: message.failure.code }));
  }
}
