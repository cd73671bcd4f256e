const INTERVAL_MS = 120_000;

/**
 * Collects all garbage of this thread every two minutes, as Go's runtime does (docs/adr/0011). V8 by itself waits until some
 * megabytes have come together: a daemon that makes little garbage would look for an hour as if it leaked, and one that leaks
 * would not show. As where memory is short (`last-resort`), so that pages are given back which garbage lay in between what
 * stays. Takes some tens of milliseconds. Does nothing where Node was not started with `--expose-gc`, as bin/sluice does.
 * @returns how to stop it
 */
export function collectGarbage(intervalMs = INTERVAL_MS): () => void {
  const { gc } = globalThis;
  if (gc === undefined) return () => undefined;
  const timer = setInterval(() => void gc({ type: 'major', execution: 'async', flavor: 'last-resort' }), intervalMs);
  timer.unref();
  return () => {
    clearInterval(timer);
  };
}
