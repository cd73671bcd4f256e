/**
 * Inputs are taken in beside each other; whoever removes something from the staging store does it alone. An input that is being taken in relies on what it
 * found there, before the ledger knows of it.
 */
export class StagingLock {
  readonly #takingIn = new Set<Promise<unknown>>();
  #alone: Promise<unknown> = Promise.resolve();

  /** Takes an input in, once nobody removes anything. */
  async takeIn<T>(work: () => Promise<T>): Promise<T> {
    for (let alone: Promise<unknown> | undefined; alone !== this.#alone;) {
      alone = this.#alone;
      await alone;
    }
    const taking = work();
    const settled = taking.catch(() => undefined);
    this.#takingIn.add(settled);
    void settled.then(() => this.#takingIn.delete(settled));
    return taking;
  }

  /** Removes something, once nothing is taken in; what comes meanwhile waits. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#alone.then(async () => {
      await Promise.all(this.#takingIn);
      return work();
    });
    this.#alone = turn.catch(() => undefined);
    return turn;
  }
}
