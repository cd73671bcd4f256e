import { ok, OperationalError } from '@sluice/ports';
import type { Result } from '@sluice/ports';
import type { ReceptionPlaces } from './reception.ts';
import type { Reason, Submission, WorkArea } from './work-area.ts';

/** Scans, collects and seals one input. On success its content is not needed any more. After a crash it may be called again for the same input. */
export type Handle = (submission: Submission) => Promise<Result<void>>;

/** Writes a tar stream as a `Reception` does, in whatever thread. */
export type Receive = (
  stream: AsyncIterable<Uint8Array>,
  places: ReceptionPlaces,
  submission: Submission,
) => Promise<Result<undefined>>;

/** What became of inputs, for log and status. `reason.detail` may hold hostile text. */
export interface IntakeEvents {
  accepted(submission: Submission): void;
  refused(submission: Submission, reason: Reason, path: string): void;
  /** The world failed; the input stays and is tried again with the next poll. */
  failed(name: string, error: OperationalError): void;
}

/** Takes the inputs of one channel one after the other, whichever way they came in, and settles each: sealed and removed, refused, or kept for later. */
export class Intake {
  readonly #area: WorkArea;
  readonly #handle: Handle;
  readonly #events: IntakeEvents;
  #waiting: Submission[] = [];
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: { readonly area: WorkArea; readonly handle: Handle; readonly events: IntakeEvents }) {
    this.#area = options.area;
    this.#handle = options.handle;
    this.#events = options.events;
  }

  /** Opens the work area; what a crash left there is handled with the first `retry`. */
  async open(): Promise<void> {
    this.#waiting = await this.#area.open();
  }

  /** Handles again what waits: left by a crash, or failed for a reason outside of it. */
  async retry(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const submission of waiting) await this.#settleInTurn(submission);
  }

  /** Takes an entry of an inbox by rename and settles it. */
  async take(path: string, name: string): Promise<void> {
    let submission: Submission | undefined;
    try {
      submission = await this.#area.take(path, name);
    } catch (error) {
      this.#events.failed(name, asOperational(error));
      return;
    }
    if (submission !== undefined) await this.#settleInTurn(submission);
  }

  /**
   * Takes an input that `fill` writes to the places it is given. Resolves once it is settled, with the refusal if there is one; throws
   * the OperationalError when `fill` fails (nothing is kept) or when handling fails (it is kept and tried again). `filled` is called once the input is
   * durable here.
   */
  async receive(
    name: string,
    fill: (places: ReceptionPlaces, submission: Submission) => Promise<Result<undefined>>,
    filled: () => void = () => undefined,
  ): Promise<Result<void, Reason>> {
    const { submission, places } = await this.#area.begin(name);
    let outcome: Result<undefined>;
    try {
      outcome = await fill(places, submission);
    } catch (error) {
      await this.#area.discard(submission);
      throw error;
    }
    if (!outcome.ok) {
      await this.#refuse(submission, outcome.error);
      filled();
      return outcome;
    }
    await this.#area.complete(submission);
    filled();
    return this.#settleInTurn(submission, true);
  }

  async #settleInTurn(submission: Submission, rethrow = false): Promise<Result<void, Reason>> {
    const settled = this.#turn.then(() => this.#settle(submission, rethrow));
    // The next in turn waits for the end of this one, good or bad; the caller gets the error.
    this.#turn = settled.catch(() => undefined);
    return settled;
  }

  async #settle(submission: Submission, rethrow: boolean): Promise<Result<void, Reason>> {
    try {
      const outcome = await this.#handle(submission);
      if (!outcome.ok) return await this.#refuse(submission, outcome.error);
      await this.#area.accept(submission);
      this.#events.accepted(submission);
      this.#remove(submission);
      return ok(undefined);
    } catch (caught) {
      let error = asOperational(caught);
      try {
        if (!error.retryable) return await this.#refuse(submission, { code: error.code, detail: error.message });
      } catch (again) {
        error = asOperational(again);
      }
      this.#waiting.push(submission);
      this.#events.failed(submission.name, error);
      if (rethrow) throw error;
      return { ok: false, error: { code: error.code, detail: error.message } };
    }
  }

  /** Nobody waits for it: what stays is removed by the next opening of the area. */
  #remove(submission: Submission): void {
    this.#area.remove(submission).catch((error: unknown) => {
      this.#events.failed(submission.name, asOperational(error));
    });
  }

  async #refuse(submission: Submission, { code, detail }: Reason): Promise<Result<void, Reason>> {
    const path = await this.#area.refuse(submission, { code, detail });
    this.#events.refused(submission, { code, detail }, path);
    return { ok: false, error: { code, detail } };
  }
}

/** The error as it is when the world failed; our own mistakes go on as they are. */
function asOperational(error: unknown): OperationalError {
  if (error instanceof OperationalError) return error;
  throw error;
}
