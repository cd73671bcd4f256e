// A worker that takes a job and never ends it, to be killed.
import { startWorker } from '../src/index.ts';

startWorker({
  redis: { url: process.argv[2] ?? '' },
  handle: ({ bundle }) => {
    console.log(`working on ${bundle ?? '?'}`);
    return Promise.withResolvers<string>().promise;
  },
  pace: () => 1,
  lockMs: 500,
});
