// The payloads of envelopes. The first byte says as which of the four kinds the rest is read.
import { isDigest } from '../../../packages/ports/src/index.ts';
import {
  encodeHistory,
  encodeReceipt,
  encodeRelease,
  encodeTransport,
  HISTORY_BUNDLES,
  kindOfStatement,
  parseHistory,
  parseReceipt,
  parseRelease,
  parseTransport,
} from '../../../packages/bundle/src/index.ts';
import { type FuzzTarget, check, joined, same, staysInside, utf8 } from '../target.ts';

const DIGEST = `sha256:${'0'.repeat(63)}1` as const;
const OTHER = `sha256:${'0'.repeat(63)}2` as const;

/** Read, written and read again: the same. */
function roundTrip<T>(
  payload: Uint8Array,
  parse: (payload: Uint8Array) => { readonly ok: true; readonly value: T } | { readonly ok: false },
  encode: (value: T) => Uint8Array,
): T | undefined {
  const parsed = parse(payload);
  if (!parsed.ok) return undefined;
  const written = encode(parsed.value);
  const again = parse(written);
  check(again.ok, 'what was read and written again is refused');
  same(again.value, parsed.value, 'a statement read, written and read');
  check(Buffer.compare(encode(again.value), written) === 0, 'a statement has two spellings');
  return parsed.value;
}

const KINDS = ['release', 'transport', 'history', 'receipt'] as const;

const READERS: Readonly<Record<(typeof KINDS)[number], (payload: Uint8Array) => boolean>> = {
  release: (payload) => {
    const release = roundTrip(payload, parseRelease, encodeRelease);
    for (const { target: to, digest, size, total } of release?.artifacts ?? []) {
      check(to.path === undefined || staysInside(to.path), 'a path leaves its root');
      check(isDigest(digest) && total >= size, 'a digest, or sizes');
    }
    return release !== undefined;
  },
  transport: (payload) => {
    const transport = roundTrip(payload, parseTransport, encodeTransport);
    if (transport === undefined) return false;
    check((transport.previous === null) === (transport.sequence === 1), 'the first has a previous one');
    return true;
  },
  history: (payload) => {
    const history = roundTrip(payload, parseHistory, encodeHistory);
    if (history === undefined) return false;
    check(history.bundles.length >= 1 && history.bundles.length <= HISTORY_BUNDLES, 'bundles of a history');
    return true;
  },
  receipt: (payload) => roundTrip(payload, parseReceipt, encodeReceipt) !== undefined,
};

function run(bytes: Uint8Array): void {
  const kind = KINDS[(bytes[0] ?? 0) % KINDS.length] ?? 'release';
  const payload = bytes.subarray(1);
  if (READERS[kind](payload)) check(kindOfStatement(payload) === kind, `a ${kind} is told as another kind`);
}

const artifact = { name: 'a', type: 'image', digest: DIGEST, size: 1, total: 2, mediaType: 'text/x' } as const;
const image = { ...artifact, target: { repository: 'a/b', tags: ['v1', 'latest'] } };
const file = { name: 'f', type: 'file', digest: OTHER, size: 3, total: 3, target: { path: 'x/y' } } as const;
const git = {
  name: 'g',
  type: 'git',
  digest: OTHER,
  size: 3,
  total: 3,
  version: 4,
  target: { repository: 'g' },
} as const;
const transport = {
  channel: 'prod',
  sequence: 2,
  previous: OTHER,
  release: { digest: DIGEST, size: 9 },
  objects: [{ digest: OTHER, size: 5, contentType: 'application/x-tar' }],
  blobs: 1,
  bytes: 9,
  seconds: 1,
} as const;
const receipt = {
  bundle: DIGEST,
  channel: 'prod',
  sequence: 1,
  result: 'imported',
  code: 'ok',
  artifacts: [{ name: 'a', digest: DIGEST, sites: [{ site: 's', digest: OTHER }] }],
  full: { digest: OTHER, size: 5, artifacts: 9 },
  seconds: 7,
} as const;

/** Statements with one thing wrong each: what stands there, and what instead. */
const WRONG: readonly (readonly [kind: number, good: Uint8Array, from: string, to: string])[] = [
  [0, encodeRelease({ name: 'r', artifacts: [file], approvedBy: ['p'] }), '"x/y"', '"../y"'],
  [0, encodeRelease({ name: 'r', artifacts: [file], approvedBy: ['p'] }), '"total":3', '"total":4'],
  [0, encodeRelease({ name: 'r', artifacts: [file], approvedBy: ['p'] }), '"total":3', '"mediaType":"x","total":3'],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '"a/b"', '"A/b"'],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '"v1"', '"v 1"'],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '"v1"', '"latest"'],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '"approvedBy":[]', '"approvedBy":["\\ud800"]'],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '"name":"r"', '"name":"\\u0007"'],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '"name":"r"', `"name":"${'r'.repeat(1025)}"`],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '"name":"r"', '"name":""'],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '"type":"image"', '"type":"film"'],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '"size":1', '"size":-1'],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '"digest":"sha256:', '"digest":"sha512:'],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '"digest":"sha256:', '"digest":"sha256:z'],
  [0, encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }), '{"sha256":', '{"sha512":"x","sha256":'],
  [
    0,
    encodeRelease({ name: 'r', artifacts: [image], approvedBy: [] }),
    '"subject":[',
    '"subject":[{"name":"q","digest":{}},',
  ],
  [0, encodeRelease({ name: 'r', artifacts: [git], approvedBy: [] }), '"version":4,', ''],
  [0, encodeRelease({ name: 'r', artifacts: [git], approvedBy: [] }), '"_type":"h', '"_type":"g'],
  [0, encodeRelease({ name: 'r', artifacts: [git], approvedBy: [] }), 'urn:sluice:release', 'urn:sluice:receipt'],
  [0, encodeRelease({ name: 'r', artifacts: [git], approvedBy: [] }), '"predicate":{', '"predicate":{"more":1,'],
  [0, encodeRelease({ name: 'r', artifacts: [git], approvedBy: [] }), '"artifacts":[', '"artifacts":{"a":['],
  [1, encodeTransport(transport), '"sequence":2', '"sequence":1'],
  [
    1,
    encodeTransport(transport),
    '"objects":[',
    `"objects":[{"digest":"${OTHER}","size":5,"contentType":"application/x-tar"},`,
  ],
  [1, encodeTransport(transport), '"subject":[{', '"subject":[{"name":"x"},{'],
  [
    2,
    encodeHistory({ channel: 'c', bundles: [{ sequence: 1, bundle: DIGEST, name: 'n', bytes: 1 }] }),
    '"bundles":[{',
    '"bundles":[],"x":[{',
  ],
];

function* seeds(): Generator<Uint8Array> {
  const text = new TextDecoder();
  const entry = { sequence: 7, bundle: DIGEST, name: 'n', bytes: 1 };
  const good: readonly (readonly [number, Uint8Array])[] = [
    [0, encodeRelease({ name: 'r', artifacts: [image, file, git], approvedBy: ['p', 'q'] })],
    [0, encodeRelease({ name: 'r', artifacts: [], approvedBy: [] })],
    [0, encodeRelease({ name: 'r', artifacts: [file, file], approvedBy: [] })],
    [0, encodeRelease({ name: 'r', artifacts: [file, { ...file, name: 'h' }], approvedBy: [] })],
    [
      0,
      encodeRelease({
        name: 'r',
        artifacts: [file, { ...file, name: 'h', target: { path: 'x/y/z' } }],
        approvedBy: [],
      }),
    ],
    [0, encodeRelease({ name: 'r', artifacts: [git, { ...git, name: 'h' }], approvedBy: [] })],
    [1, encodeTransport(transport)],
    [1, encodeTransport({ ...transport, sequence: 1, previous: null, objects: [] })],
    [2, encodeHistory({ channel: 'prod', bundles: [entry, { ...entry, sequence: 8 }] })],
    [2, encodeHistory({ channel: 'prod', bundles: [entry, { ...entry, sequence: 9 }] })],
    [2, encodeHistory({ channel: 'prod', bundles: [] })],
    [3, encodeReceipt(receipt)],
    [3, encodeReceipt({ ...receipt, result: 'refused' })],
  ];
  for (const [kind, payload] of good) yield joined([kind], payload);
  for (const [kind, payload, from, to] of WRONG) yield joined([kind], utf8(text.decode(payload).replace(from, to)));
  // Another order of keys and white space: kindOfStatement then reads the document.
  yield joined([3], utf8(JSON.stringify(JSON.parse(text.decode(encodeReceipt(receipt))), null, 1)));
  yield joined(
    [2],
    utf8(text.decode(encodeHistory({ channel: 'p', bundles: [entry] })).replace('"name":"7"', '"name":"8"')),
  );
}

export const target: FuzzTarget = {
  about:
    'a release, transport, history or receipt statement: written again the same, within its limits, and of one kind',
  files: ['release', 'transport', 'history', 'receipt', 'statement', 'fields'].map(
    (name) => `packages/bundle/src/${name}.ts`,
  ),
  bytesMax: 4096,
  words: [
    ...['"_type":"https://in-toto.io/Statement/v1"', '"subject":[', '"predicateType":"urn:sluice:release:v1"'],
    ...['urn:sluice:transport:v1', 'urn:sluice:receipt:v1', 'urn:sluice:history:v1', '"predicate":{', '"artifacts":['],
    ...[
      '"approvedBy":[',
      '"target":{',
      '"repository":"',
      '"tags":[',
      '"path":"',
      '"type":"cve-db"',
      '"version":1',
      '"chart"',
    ],
    ...['"objects":[', '"previous":null', '"sequence":', '"bundles":[', '"sites":[', '"full":{', DIGEST],
  ],
  run,
  seeds,
};
