// The body of a heartbeat: numbers, words and digests, or nothing.
import { isDigest } from '../../../packages/ports/src/index.ts';
import { parseHeartbeat } from '../../../packages/receiver/src/heartbeat.ts';
import { type FuzzTarget, check, utf8 } from '../target.ts';

const FIELDS = ['seconds', 'state', 'sequence', 'head', 'config', 'faults'];

function run(bytes: Uint8Array): void {
  const heartbeat = parseHeartbeat(new TextDecoder().decode(bytes));
  if (heartbeat === undefined) return;
  const { seconds, state, sequence, head, config, faults } = heartbeat;
  check(
    Object.keys(heartbeat).every((key) => FIELDS.includes(key)),
    'a field that is none of a heartbeat',
  );
  check(Number.isSafeInteger(seconds) && Number.isSafeInteger(sequence) && seconds >= 0 && sequence >= 0, 'a number');
  check(['idle', 'sending', 'paused', 'degraded'].includes(state), `the state ${state}`);
  check((head === null || isDigest(head)) && isDigest(config), 'a digest');
  check(faults.length <= 32 && faults.every((fault) => typeof fault === 'string'), 'faults');
}

const DIGEST = `sha256:${'0a'.repeat(32)}`;
const BODY = { v: 1, seconds: 5, state: 'idle', sequence: 3, head: DIGEST, config: DIGEST, faults: 3 };

function* seeds(): Generator<Uint8Array> {
  const bodies = [
    BODY,
    { ...BODY, head: null, faults: undefined, more: '<script>' },
    { ...BODY, head: 7 },
    { ...BODY, config: 'sha256:' },
    { ...BODY, v: 2 },
    { ...BODY, faults: -1 },
    { ...BODY, state: 'constructor' },
    null,
    7,
  ];
  for (const body of bodies) yield utf8(JSON.stringify(body));
  yield utf8('{');
}

export const target: FuzzTarget = {
  about: 'the body of a heartbeat: numbers, known words and digests alone',
  files: ['packages/receiver/src/heartbeat.ts'],
  bytesMax: 512,
  words: [
    '"v":1',
    '"seconds":',
    '"state":"idle"',
    'degraded',
    '"sequence":',
    '"head":null',
    '"config":"',
    '"faults":',
    DIGEST,
  ],
  run,
  seeds,
};
