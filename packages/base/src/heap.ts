const INTERVAL_MS = 120_000;
/** By then the other threads are collected too: they begin within a second of each other. */
const AFTER_MS = 2000;
/** How long a thread that must not be late has to have nothing to do. */
const LEISURE_MS = 50;

/**
 * Collects all garbage of this thread every two minutes, as Go's runtime does (docs/adr/0011). V8 by itself waits until some
 * megabytes have come together: a daemon that makes little garbage would look for an hour as if it leaked, and one that leaks
 * would not show. As where memory is short (`last-resort`), so that pages are given back which garbage lay in between what
 * stays. Takes some tens of milliseconds. Does nothing where Node was not started with `--expose-gc`, as bin/sluice does.
 * @param after is called each time, once other threads that began at the same time are collected too
 * @returns how to stop it
 */
export function collectGarbage(intervalMs = INTERVAL_MS, after?: () => void): () => void {
  const { gc } = globalThis;
  if (gc === undefined) return () => undefined;
  const timer = setInterval(() => {
    collect(gc);
    if (after !== undefined) setTimeout(after, AFTER_MS).unref();
  }, intervalMs);
  timer.unref();
  return () => {
    clearInterval(timer);
  };
}

/**
 * The same for a thread that must not be late: it says for how many milliseconds it has nothing to do, and it is collected then,
 * no oftener than `intervalMs`.
 */
export function collectAtLeisure(intervalMs = INTERVAL_MS): (leisureMs: number) => void {
  const { gc } = globalThis;
  let last = performance.now();
  return (leisureMs) => {
    if (gc === undefined || leisureMs < LEISURE_MS || performance.now() - last < intervalMs) return;
    last = performance.now();
    collect(gc);
  };
}

function collect(gc: NonNullable<typeof globalThis.gc>): void {
  void gc({ type: 'major', execution: 'async', flavor: 'last-resort' });
}
