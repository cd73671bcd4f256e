import { isDigest, ok, refuse } from '@sluice/ports';
import type { Digest, Result } from '@sluice/ports';
import { FOREIGN_JSON, isList, isObject, parseJson } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';

/** Largest manifest or index taken, in bytes: what registries take (Harbor, distribution). */
export const OCI_MANIFEST_BYTES = 4 * 1024 * 1024;
/** Most descriptors in one manifest or index. */
export const OCI_DESCRIPTORS = 10_000;
/** Largest blob taken, in bytes: as large as an object of the link may be (PROTOCOL.md O-7). */
export const OCI_BLOB_BYTES = 2 ** 40;

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';

/** The name of an image in a layout's index (image-spec, annotations.md). */
export const REF_NAME = 'org.opencontainers.image.ref.name';
/** The full name of an image in a layout's index, as containerd and docker write it. */
export const FULL_NAME = 'io.containerd.image.name';

export type ContentKind = 'blob' | 'manifest' | 'index';

/** image-spec, descriptor.md; what we do not use is dropped. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** image-spec, manifest.md, or Docker's manifest v2 schema 2. `mediaType` is the effective one. */
export interface ImageManifest {
  readonly kind: 'manifest';
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly artifactType?: string;
  readonly subject?: Descriptor;
  readonly annotations: Readonly<Record<string, string>>;
}

/** image-spec, image-index.md, or Docker's manifest list. */
export interface ImageIndex {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
  readonly artifactType?: string;
  readonly subject?: Descriptor;
  readonly annotations: Readonly<Record<string, string>>;
}

/** What a descriptor of this media type points to; media types that we do not know are blobs. */
export function kindOf(mediaType: string): ContentKind {
  if (mediaType === OCI_INDEX || mediaType === DOCKER_LIST) return 'index';
  return mediaType === OCI_MANIFEST || mediaType === DOCKER_MANIFEST ? 'manifest' : 'blob';
}

const NON_DISTRIBUTABLE = /^application\/vnd\.(oci\.image\.layer\.nondistributable\.|docker\.image\.rootfs\.foreign\.)/;
const SCHEMA_1 = 'application/vnd.docker.distribution.manifest.v1+';
const MEDIA_TYPE = /^[A-Za-z0-9][\w!#$&^.+-]{0,126}\/[A-Za-z0-9][\w!#$&^.+-]{0,126}$/;

const malformed = (why: string): ReturnType<typeof refuse> =>
  refuse('manifest-malformed', `A manifest is not as the OCI image specification says: ${why}.`);

/** Checks the file `oci-layout` (image-spec, image-layout.md). */
export function parseOciLayout(bytes: Uint8Array): Result<void> {
  const document = parseJson(bytes, FOREIGN_JSON);
  if (!document.ok || !isObject(document.value) || document.value.imageLayoutVersion !== '1.0.0') {
    return refuse('layout-malformed', 'The file oci-layout does not say imageLayoutVersion 1.0.0.');
  }
  return ok(undefined);
}

/**
 * Reads a manifest or index. `mediaType` is the descriptor's; a document that names another, or that has the members of both forms, is refused, so that
 * nothing can be read as one thing here and as another elsewhere. Refuses with `manifest-too-large`, `manifest-malformed`, `digest-algorithm`,
 * `non-distributable`, `json-malformed` or `json-duplicate-key`.
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): Result<ImageManifest | ImageIndex> {
  if (bytes.length > OCI_MANIFEST_BYTES) return tooLarge(bytes.length);
  const document = parseJson(bytes, FOREIGN_JSON);
  if (!document.ok) return document;
  const kind = kindOf(mediaType);
  if (kind === 'blob') return malformed(`${JSON.stringify(mediaType)} is no manifest's media type`);
  if (!isObject(document.value)) return malformed('it is no JSON object');
  const json = document.value;
  if (json.schemaVersion !== 2) return malformed('schemaVersion is not 2; convert a Docker schema 1 image first');
  if (json.mediaType !== undefined && json.mediaType !== mediaType) {
    return malformed(`it calls itself another media type than its descriptor, ${JSON.stringify(mediaType)}`);
  }
  return kind === 'index' ? readIndex(json, mediaType) : readManifest(json, mediaType);
}

/** Reads the `index.json` of a layout. */
export function parseLayoutIndex(bytes: Uint8Array): Result<ImageIndex> {
  const index = parseManifest(bytes, OCI_INDEX);
  if (!index.ok) return index;
  if (index.value.kind !== 'index') throw new Error('an index was read as a manifest');
  return ok(index.value);
}

export const tooLarge = (size: number): ReturnType<typeof refuse> =>
  refuse('manifest-too-large', `A manifest of ${size} bytes is over the ${OCI_MANIFEST_BYTES} that registries take.`);

function readManifest(json: JsonObject, mediaType: string): Result<ImageManifest> {
  if (json.manifests !== undefined) return malformed('a manifest lists manifests, as only an index may');
  const config = parseDescriptor(json.config, 'config');
  if (!config.ok) return config;
  const layers = parseDescriptors(json.layers, 'layers');
  if (!layers.ok) return layers;
  const common = readCommon(json);
  if (!common.ok) return common;
  return ok({ kind: 'manifest', mediaType, config: config.value, layers: layers.value, ...common.value });
}

function readIndex(json: JsonObject, mediaType: string): Result<ImageIndex> {
  if (json.config !== undefined || json.layers !== undefined) {
    return malformed('an index has a config or layers, as only a manifest may');
  }
  const manifests = parseDescriptors(json.manifests, 'manifests');
  if (!manifests.ok) return manifests;
  const common = readCommon(json);
  if (!common.ok) return common;
  return ok({ kind: 'index', mediaType, manifests: manifests.value, ...common.value });
}

type Common = Pick<ImageManifest, 'artifactType' | 'subject' | 'annotations'>;

function readCommon(json: JsonObject): Result<Common> {
  const artifactType = json.artifactType;
  if (artifactType !== undefined && typeof artifactType !== 'string') return malformed('artifactType is no string');
  const annotations = parseAnnotations(json.annotations);
  if (annotations === undefined) return malformed('annotations are not strings by name');
  const base = { annotations, ...(artifactType === undefined || artifactType === '' ? {} : { artifactType }) };
  if (json.subject === undefined || json.subject === null) return ok(base);
  const subject = parseDescriptor(json.subject, 'subject');
  return subject.ok ? ok({ ...base, subject: subject.value }) : subject;
}

function parseDescriptors(value: JsonValue | undefined, where: string): Result<readonly Descriptor[]> {
  if (!isList(value)) return malformed(`${where} is no list`);
  if (value.length > OCI_DESCRIPTORS) return malformed(`${where} has more than ${OCI_DESCRIPTORS} entries`);
  const descriptors: Descriptor[] = [];
  for (const [i, entry] of value.entries()) {
    const descriptor = parseDescriptor(entry, `${where}[${i}]`);
    if (!descriptor.ok) return descriptor;
    descriptors.push(descriptor.value);
  }
  return ok(descriptors);
}

/** Reads one descriptor, strict where it matters: media type, SHA-256 digest, size. `where` names it in the sentence of a refusal. */
export function parseDescriptor(value: JsonValue | undefined, where: string): Result<Descriptor> {
  if (!isObject(value)) return malformed(`${where} is no descriptor`);
  const { mediaType, digest, size, artifactType } = value;
  if (typeof mediaType !== 'string' || !MEDIA_TYPE.test(mediaType)) return malformed(`${where} has no media type`);
  if (mediaType.startsWith(SCHEMA_1))
    return malformed(`${where} is a Docker schema 1 image, which must be converted first`);
  if (NON_DISTRIBUTABLE.test(mediaType)) {
    return refuse(
      'non-distributable',
      `${where} is of the type ${mediaType}, which may not be carried; use an image without such layers.`,
    );
  }
  if (typeof digest !== 'string') return malformed(`${where} has no digest`);
  if (!isDigest(digest)) {
    if (digest.startsWith('sha256:'))
      return malformed(`the digest of ${where} is not 64 lower-case hexadecimal digits`);
    return refuse('digest-algorithm', `The digest of ${where} is not SHA-256; only sha256 is taken.`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || size > OCI_BLOB_BYTES) {
    return malformed(`the size of ${where} is no whole number up to ${OCI_BLOB_BYTES}`);
  }
  const annotations = parseAnnotations(value.annotations);
  if (annotations === undefined) return malformed(`the annotations of ${where} are not strings by name`);
  const base = { mediaType, digest, size, annotations };
  return ok(typeof artifactType === 'string' && artifactType !== '' ? { ...base, artifactType } : base);
}

function parseAnnotations(value: JsonValue | undefined): Readonly<Record<string, string>> | undefined {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) return undefined;
  const annotations = new Map<string, string>();
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== 'string') return undefined;
    annotations.set(name, text);
  }
  return Object.fromEntries(annotations);
}

/** What a tag of cosign's tag scheme (`sha256-HEX.sig`, `.att`, `.sbom`) is about, or undefined for any other tag. */
export function cosignTag(
  tag: string,
): { readonly subject: Digest; readonly kind: 'sig' | 'att' | 'sbom' } | undefined {
  const match = /^sha256-([0-9a-f]{64})\.(sig|att|sbom)$/.exec(tag);
  const subject = `sha256:${match?.[1] ?? ''}`;
  const kind = match?.[2];
  if (!isDigest(subject) || (kind !== 'sig' && kind !== 'att' && kind !== 'sbom')) return undefined;
  return { subject, kind };
}

/** What a tag of the referrers tag schema (`sha256-HEX`; distribution-spec, "Unavailable Referrers API") is about, or undefined. */
export function referrersTag(tag: string): Digest | undefined {
  const subject = `sha256:${/^sha256-([0-9a-f]{64})$/.exec(tag)?.[1] ?? ''}`;
  return isDigest(subject) ? subject : undefined;
}
