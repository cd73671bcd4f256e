import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const INTERVAL_MS = 120_000;

/**
 * Collects all garbage of this thread every two minutes, as Go's runtime does. V8 by itself waits until some megabytes have
 * come together: a daemon that makes little garbage would look for an hour as if it leaked, and one that leaks would not show.
 * Takes some milliseconds.
 * @returns how to stop it
 */
export function collectGarbage(intervalMs = INTERVAL_MS): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as NodeJS.GCFunction;
  const timer = setInterval(() => void collect({ type: 'major', execution: 'async' }), intervalMs);
  timer.unref();
  return () => {
    clearInterval(timer);
  };
}
