import { Worker } from 'node:worker_threads';
import { type Digest, OperationalError, type Result } from '@sluice/ports';
import type { ReceptionPlaces, Submission } from '@sluice/sources';
import type { CollectedInput, IntakeAnswer, IntakeCalls, IntakeOptions } from './messages.ts';

/** Bytes of a submission handed over at a time. */
const PIECE_BYTES = 1024 * 1024;
/** Pieces on their way to the thread. */
const PIECES = 3;

interface Waiting {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
}

/** The main thread's end of the intake thread. */
export class IntakeThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #stopped = false;
  /** Resolves when the thread was stopped; rejects when it failed. */
  readonly ended: Promise<void>;

  constructor(options: IntakeOptions) {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: options, name: 'intake' });
    this.#worker.on('message', (answer: IntakeAnswer) => {
      this.#hear(answer);
    });
    this.ended = new Promise((resolve, reject) => {
      this.#worker.once('error', reject);
      this.#worker.once('exit', () => {
        resolve();
      });
    });
  }

  /** Writes a tar stream to the places of a submission, hashed on the way (`Reception`). */
  async receive(
    stream: AsyncIterable<Uint8Array>,
    places: ReceptionPlaces,
    { id }: Submission,
  ): Promise<Result<undefined>> {
    await this.#call('begin', { id, places });
    try {
      const handed = await this.#handOver(stream, id);
      if (handed.ok) return await this.#call('end', { id });
      await this.#call('abandon', { id });
      return handed;
    } catch (error) {
      if (!this.#stopped) await this.#call('abandon', { id });
      throw error;
    }
  }

  /** Stop 1: everything that an input's release names, in the staging store. */
  collect(submission: Submission): Promise<Result<CollectedInput>> {
    return this.#call('collect', submission);
  }

  missing(objects: IntakeCalls['missing']['ask']): Promise<readonly Digest[]> {
    return this.#call('missing', objects);
  }

  /** Ends the thread wherever it is, as a crash would: what it was about is taken up at the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const error = new OperationalError('source-io', 'The sender stops; the input is taken at its next start.', {
      retryable: true,
    });
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    await this.#worker.terminate();
  }

  async #handOver(stream: AsyncIterable<Uint8Array>, id: string): Promise<Result<undefined>> {
    const underWay: Promise<Result<undefined>>[] = [];
    for await (const bytes of inPieces(stream)) {
      if (underWay.length >= PIECES) {
        const taken = await underWay.shift();
        if (taken?.ok === false) return taken;
      }
      const taking = this.#call('bytes', { id, bytes }, [bytes.buffer]);
      // Waited for in its turn; where the stream fails before, nobody waits.
      taking.catch(() => undefined);
      underWay.push(taking);
    }
    const results = await Promise.all(underWay);
    return results.find((result) => !result.ok) ?? { ok: true, value: undefined };
  }

  #call<Name extends keyof IntakeCalls>(
    name: Name,
    ask: IntakeCalls[Name]['ask'],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<IntakeCalls[Name]['answer']> {
    this.#last += 1;
    const call = this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, { resolve, reject });
      this.#worker.postMessage({ call, name, ask }, transfer);
    });
  }

  #hear(answer: IntakeAnswer): void {
    const waiting = this.#waiting.get(answer.call);
    this.#waiting.delete(answer.call);
    if ('failure' in answer) {
      const { code, message, retryable } = answer.failure;
      waiting?.reject(new OperationalError(code, message, { retryable }));
    } else waiting?.resolve(answer.answer as never);
  }
}

/** The same bytes in large pieces, each memory of its own. */
async function* inPieces(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let piece = new Uint8Array(PIECE_BYTES);
  let filled = 0;
  for await (const chunk of stream) {
    for (let rest = chunk; rest.length > 0;) {
      const taken = rest.subarray(0, piece.length - filled);
      piece.set(taken, filled);
      filled += taken.length;
      rest = rest.subarray(taken.length);
      if (filled < piece.length) continue;
      yield piece;
      piece = new Uint8Array(PIECE_BYTES);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}
