/** Runs tasks one after the other, in the order they came. A task that throws does not stop the next; its caller hears of it. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(task);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Resolves when all taken so far are done, and what these took. */
  async idle(): Promise<void> {
    for (let last: Promise<unknown> | undefined; last !== this.#last;) {
      last = this.#last;
      await last;
    }
  }
}
