// OCI documents. The first byte says as what the rest is read; a closure is read out of documents that zero bytes separate, named by
// their digests, the last one the root.
import { createHash } from 'node:crypto';
import { type Digest, isDigest, ok, refuse } from '../../../packages/ports/src/index.ts';
import {
  CLOSURE_ENTRIES,
  closureOf,
  cosignTag,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  type ImageIndex,
  type ImageManifest,
  kindOf,
  OCI_BLOB_BYTES,
  OCI_DESCRIPTORS,
  OCI_INDEX,
  OCI_MANIFEST,
  parseLayoutIndex,
  parseManifest,
  parseOciLayout,
  referrersTag,
} from '../../../packages/bundle/src/index.ts';
import { type FuzzTarget, check, joined, same, utf8 } from '../target.ts';

const TYPES = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST, 'text/plain'] as const;
const LAYOUT = TYPES.length;
const TAGS = LAYOUT + 1;
const CLOSURE = TAGS + 1;

const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** The document that says what was read. */
function spelled(document: ImageManifest | ImageIndex): Uint8Array {
  const { kind, ...fields } = document;
  check(kind === kindOf(document.mediaType), 'a document of another kind than its media type');
  return utf8(JSON.stringify({ schemaVersion: 2, ...fields }));
}

function manifest(bytes: Uint8Array, mediaType: string): void {
  const parsed = parseManifest(bytes, mediaType);
  if (!parsed.ok) return;
  const document = parsed.value;
  const named = document.kind === 'index' ? document.manifests : [document.config, ...document.layers];
  check(named.length <= OCI_DESCRIPTORS + 1, `${named.length} descriptors`);
  for (const { digest, size, annotations } of named) {
    check(isDigest(digest) && size >= 0 && size <= OCI_BLOB_BYTES, 'a descriptor');
    check(
      Object.values(annotations).every((text) => typeof text === 'string'),
      'an annotation that is no text',
    );
  }
  const again = parseManifest(spelled(document), mediaType);
  check(again.ok, 'what was read and written again is refused');
  same(again.value, document, 'a manifest read, written and read');
}

function layout(bytes: Uint8Array): void {
  const index = parseLayoutIndex(bytes);
  check(index.ok === parseManifest(bytes, OCI_INDEX).ok, 'the index of a layout and an index');
  if (parseOciLayout(bytes).ok) check(!index.ok, 'one document is oci-layout and index.json');
}

function tags(bytes: Uint8Array): void {
  const tag = new TextDecoder().decode(bytes);
  const cosign = cosignTag(tag);
  const referrers = referrersTag(tag);
  if (cosign !== undefined) check(`${cosign.subject.replace(':', '-')}.${cosign.kind}` === tag, 'a tag of cosign');
  if (referrers !== undefined) check(referrers.replace(':', '-') === tag, 'a tag of referrers');
}

/** The documents between zero bytes. In each `@D2` stands for the digest of the second before it, `@S2` for its size. */
function documents(bytes: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const text of Buffer.from(bytes).toString('latin1').split('\0')) {
    const named = text.replace(/@([DS])([1-9])/g, (_all, what: string, back: string) => {
      const document = found.at(-Number(back)) ?? bytes;
      return what === 'D' ? digestOf(document) : String(document.length);
    });
    found.push(new Uint8Array(Buffer.from(named, 'latin1')));
  }
  return found;
}

async function closure(bytes: Uint8Array): Promise<void> {
  const all = documents(bytes);
  const blobs = new Map(all.map((document) => [digestOf(document), document]));
  const last = all.at(-1) ?? bytes;
  const root = { digest: digestOf(last), size: last.length, mediaType: OCI_INDEX };
  let reads = 0;
  const result = await closureOf(root, (digest, size) => {
    reads += 1;
    const document = blobs.get(digest);
    return Promise.resolve(
      document === undefined ? refuse('manifest-malformed', 'not there') : ok(document.subarray(0, Math.max(size, 1))),
    );
  });
  check(reads <= CLOSURE_ENTRIES, 'a manifest is read again and again');
  if (!result.ok) return;
  const { entries, total } = result.value;
  const digests = entries.map(({ digest }) => digest);
  check(new Set(digests).size === digests.length && digests.at(-1) === root.digest, 'entries of a closure');
  check(entries.reduce((sum, { size }) => sum + size, 0) === total, 'the total of a closure');
  check(reads === entries.filter(({ kind }) => kind !== 'blob').length, 'a manifest is read twice');
}

function run(input: Uint8Array): void | Promise<void> {
  const way = (input[0] ?? 0) % (CLOSURE + 1);
  const bytes = input.subarray(1);
  if (way === CLOSURE) return closure(bytes);
  if (way === TAGS) return tags(bytes);
  return way === LAYOUT ? layout(bytes) : manifest(bytes, TYPES[way] ?? '');
}

const DIGEST = `sha256:${'a'.repeat(64)}`;
const blob = { mediaType: 'application/octet-stream', digest: DIGEST, size: 3 };
const image = {
  schemaVersion: 2,
  mediaType: OCI_MANIFEST,
  config: blob,
  layers: [{ ...blob, annotations: { a: 'b' }, artifactType: 'x/y' }],
  subject: { ...blob, digest: `sha256:${'b'.repeat(64)}` },
  artifactType: 'x/y',
  annotations: { __proto__x: 'c' },
};
const index = {
  schemaVersion: 2,
  mediaType: OCI_INDEX,
  manifests: [{ ...blob, mediaType: OCI_MANIFEST }],
  annotations: {},
};

/** Documents with one thing wrong each. */
const WRONG: readonly (readonly [way: number, document: unknown])[] = [
  [0, { ...image, schemaVersion: 1 }],
  [0, { ...image, mediaType: OCI_INDEX }],
  [0, { ...image, manifests: [] }],
  [0, { ...image, config: null }],
  [0, { ...image, layers: {} }],
  [0, { ...image, artifactType: 1 }],
  [0, { ...image, annotations: { a: 1 } }],
  [0, { ...image, annotations: [] }],
  [0, { ...image, subject: 1 }],
  [0, { ...image, subject: null, annotations: null, artifactType: '' }],
  [0, []],
  [1, { ...index, config: blob }],
  [1, { ...index, manifests: 1 }],
  [1, { ...index, annotations: 1 }],
  [0, { ...image, layers: [{ ...blob, mediaType: 'bad' }] }],
  [0, { ...image, layers: [{ ...blob, mediaType: 'application/vnd.docker.distribution.manifest.v1+json' }] }],
  [0, { ...image, layers: [{ ...blob, mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar' }] }],
  [0, { ...image, layers: [{ ...blob, digest: 1 }] }],
  [0, { ...image, layers: [{ ...blob, digest: 'sha256:A' }] }],
  [0, { ...image, layers: [{ ...blob, digest: 'sha512:a' }] }],
  [0, { ...image, layers: [{ ...blob, size: -1 }] }],
  [0, { ...image, layers: [{ ...blob, annotations: 1 }] }],
  [4, image],
];

/** Documents of a closure, the root last. */
function bundle(...all: readonly unknown[]): Uint8Array {
  const texts = all.map((document) => JSON.stringify(document).replace(/"(@S\d)"/g, '$1'));
  return joined([CLOSURE], utf8(texts.join('\0')));
}

function* closures(): Generator<Uint8Array> {
  const child = (back: number, mediaType = OCI_MANIFEST) => ({ mediaType, digest: `@D${back}`, size: `@S${back}` });
  const indexOf = (...manifests: readonly unknown[]): unknown => ({ ...index, manifests });
  yield bundle(image, indexOf(child(1), blob));
  yield bundle(image, indexOf(child(1), child(1)));
  yield bundle(image, indexOf(child(1), child(1, 'text/plain')));
  yield bundle(image, indexOf({ ...child(1), size: 1 }));
  yield bundle(image, indexOf(child(1), { ...child(1), size: 1 }));
  yield bundle(image, indexOf({ ...child(1), size: 2 ** 23 }));
  yield bundle(image, indexOf(child(1, OCI_INDEX)));
  yield bundle(image, indexOf(child(1)), indexOf(child(2), child(1, OCI_INDEX)));
  yield bundle(indexOf({ ...child(1), digest: `sha256:${'c'.repeat(64)}`, size: 1 }));
  yield bundle(indexOf({ ...blob, size: 2 ** 40 }));
  yield bundle(indexOf(), ...Array.from({ length: 10 }, () => indexOf(child(1, OCI_INDEX))));
}

function* seeds(): Generator<Uint8Array> {
  const text = (document: unknown): Uint8Array => utf8(JSON.stringify(document));
  yield joined([0], text(image));
  yield joined([2], text({ ...image, mediaType: DOCKER_MANIFEST }));
  yield joined([3], text({ ...index, mediaType: undefined }));
  yield joined([1], text({ ...index, subject: blob, artifactType: 'a/b' }));
  yield joined([0], utf8('{"a":1,"a":2}'));
  for (const [way, document] of WRONG) yield joined([way], text(document));
  yield joined([LAYOUT], text(index));
  yield joined([LAYOUT], text({ imageLayoutVersion: '1.0.0' }));
  yield joined([LAYOUT], text({ imageLayoutVersion: '2' }));
  for (const end of ['.sig', '.att', '.sbom', '', '.x']) yield joined([TAGS], utf8(`sha256-${'a'.repeat(64)}${end}`));
  yield* closures();
}

export const target: FuzzTarget = {
  about: 'a manifest, index, layout, tag or closure: written again the same, each blob once, each manifest read once',
  files: ['packages/bundle/src/oci.ts', 'packages/bundle/src/oci-closure.ts'],
  bytesMax: 4096,
  waits: true,
  words: [
    ...[
      OCI_INDEX,
      OCI_MANIFEST,
      DOCKER_LIST,
      DOCKER_MANIFEST,
      '"schemaVersion":2',
      '"mediaType":"',
      '"config":{',
      '"layers":[',
    ],
    ...['"manifests":[', '"subject":{', '"annotations":{', '"digest":"sha256:', '"size":', '"artifactType":"', DIGEST],
    ...['"imageLayoutVersion":"1.0.0"', '.sig', '.att', '.sbom', 'sha256-'],
    ...['"digest":"@D1","size":@S1', '@D2', '@S2', '\0{'],
  ],
  run,
  seeds,
};
