// A DSSE envelope: what is taken, written again, is the same envelope; and what is judged of it depends on no more than it says.
import { createHash } from 'node:crypto';
import {
  encodeEnvelope,
  IN_TOTO,
  kindOfStatement,
  parseEnvelope,
  preAuthEncoding,
  SIGNATURES_MAX,
  encodeTransport,
  encodeHistory,
  type Verifier,
  verifyHistory,
  verifyTransport,
} from '../../../packages/bundle/src/index.ts';
import { type FuzzTarget, check, same, utf8 } from '../target.ts';

const KEY = 'ab'.repeat(32);
const DIGEST = `sha256:${'0'.repeat(64)}` as const;
const sha256 = (...pieces: Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
};
/** A signature that holds is the first byte of the message. */
const verifier: Verifier = { keyid: KEY, algorithm: 'Ed25519', verify: (message, sig) => sig[0] === message[0] };
const policy = {
  channel: 'prod',
  transportKeys: [KEY],
  releaseKeys: [],
  releaseSignatures: 0,
  types: [],
  repositories: [],
  paths: [],
  maxBytes: 1,
  maxArtifacts: 1,
} as const;
const context = { policy, verifiers: new Map([[KEY, verifier]]), sha256 };

function run(bytes: Uint8Array): void {
  const parsed = parseEnvelope(bytes);
  const transport = verifyTransport(bytes, context);
  const history = verifyHistory(bytes, context);
  check(parsed.ok || (!transport.ok && !history.ok), 'what is no envelope is verified');
  if (!parsed.ok) return;
  const { payload, signatures } = parsed.value;
  check(signatures.length <= SIGNATURES_MAX, `${signatures.length} signatures`);
  const again = parseEnvelope(encodeEnvelope(parsed.value));
  check(again.ok, 'what was read and written again is refused');
  same(again.value, parsed.value, 'an envelope read, written and read');
  const pae = preAuthEncoding(payload);
  check(
    Buffer.compare(pae.subarray(pae.length - payload.length), payload) === 0,
    'the payload is not in what is signed',
  );
  const holds = signatures.some(({ keyid, sig }) => keyid === KEY && sig[0] === 'D'.charCodeAt(0));
  check(holds || (!transport.ok && !history.ok), 'an envelope without a signature that holds is verified');
  if (transport.ok)
    check(kindOfStatement(payload) === 'transport' && !history.ok, 'a transport statement is another kind');
  if (history.ok) check(kindOfStatement(payload) === 'history', 'a history is another kind');
}

function* seeds(): Generator<Uint8Array> {
  const release = { digest: DIGEST, size: 9 };
  const statement = {
    channel: 'prod',
    sequence: 1,
    previous: null,
    release,
    objects: [],
    blobs: 1,
    bytes: 9,
    seconds: 1,
  };
  const sig = utf8('D');
  const signed = (payload: Uint8Array, keyid = KEY, times = 1): Uint8Array =>
    encodeEnvelope({ payload, signatures: Array.from({ length: times }, () => ({ keyid, sig })) });
  const transport = encodeTransport(statement);
  yield signed(transport);
  yield signed(transport, KEY, 2);
  yield signed(transport, 'cd'.repeat(32));
  yield signed(encodeTransport({ ...statement, channel: 'lab' }));
  yield signed(encodeHistory({ channel: 'prod', bundles: [{ sequence: 1, bundle: DIGEST, name: 'n', bytes: 1 }] }));
  yield signed(encodeHistory({ channel: 'lab', bundles: [{ sequence: 1, bundle: DIGEST, name: 'n', bytes: 1 }] }));
  yield signed(utf8('{}'), KEY, 17);
  yield encodeEnvelope({ payload: utf8('x'), signatures: [{ keyid: KEY, sig: utf8('E') }] });
  const one = new TextDecoder().decode(signed(utf8('{}')));
  const changes: readonly (readonly [string, string])[] = [
    [KEY, KEY.toUpperCase()],
    [IN_TOTO, 'text/plain'],
    ['"payload":"', '"payload":"!'],
    ['"payload":"', '"payload":" '],
    ['"sig":"', '"sig":"='],
    ['"keyid"', '"key"'],
    ['"signatures":[', '"signatures":[1,'],
    ['"signatures":[', '"more":[],"signatures":['],
  ];
  for (const [from, to] of changes) yield utf8(one.replace(from, to));
  yield utf8('[]');
  yield utf8('{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":{}}');
}

export const target: FuzzTarget = {
  about: 'a DSSE envelope: written again the same, and verified only by a signature that holds',
  files: ['packages/bundle/src/dsse.ts', 'packages/bundle/src/base64.ts'],
  bytesMax: 4096,
  words: ['"payloadType":"application/vnd.in-toto+json"', '"payload":"', '"signatures":[', '"keyid":"', '"sig":"', KEY],
  run,
  seeds,
};
