import type { Digest, Result } from '@sluice/ports';
import { countAt, digestAt, fail, listAt, literalAt, objectAt, reading, textAt } from './fields.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { encodeStatement, readStatement } from './statement.ts';
import { pathFault } from './tar.ts';

export const ARTIFACT_TYPES = ['image', 'chart', 'cve-db', 'git', 'file'] as const;
export type ArtifactType = (typeof ARTIFACT_TYPES)[number];

/** Where an artifact goes: a repository with tags (OCI content; git has none), or a path below the files directory. */
export interface Target {
  readonly repository?: string;
  readonly tags?: readonly string[];
  readonly path?: string;
}

/** One artifact of a release (docs/PROTOCOL.md B-2, B-3). */
export interface Artifact {
  readonly name: string;
  readonly type: ArtifactType;
  /** Of the manifest or index, or of the file. */
  readonly digest: Digest;
  /** Bytes of the blob named by `digest`. */
  readonly size: number;
  /** Bytes of all blobs of the closure, each once. */
  readonly total: number;
  readonly mediaType?: string;
  readonly version?: number;
  readonly target: Target;
}

/** What may enter, and who approved it (docs/PROTOCOL.md section 8). */
export interface ReleaseStatement {
  readonly name: string;
  readonly artifacts: readonly Artifact[];
  readonly approvedBy: readonly string[];
}

/** Repository and tag grammar of the OCI distribution specification, with its limits. */
const REPOSITORY = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const OCI_TYPES: readonly ArtifactType[] = ['image', 'chart', 'cve-db'];
const VERSIONED: readonly ArtifactType[] = ['cve-db', 'git'];

/** What an artifact is known by for its version: its repository, or its path. */
export const targetName = ({ repository, path }: Target): string => repository ?? path ?? '';

/** The release in its one spelling (B-13), whatever the order of the keys in `release`. */
export const encodeRelease = ({ name, artifacts, approvedBy }: ReleaseStatement): Uint8Array =>
  encodeStatement('release', artifacts, { name, artifacts: artifacts.map(spelled), approvedBy });

const spelled = ({ name, type, digest, size, mediaType, total, version, target }: Artifact): Artifact => ({
  name,
  type,
  digest,
  size,
  ...(mediaType === undefined ? {} : { mediaType }),
  total,
  ...(version === undefined ? {} : { version }),
  target: spelledTarget(target),
});

const spelledTarget = ({ repository, tags, path }: Target): Target => ({
  ...(repository === undefined ? {} : { repository }),
  ...(tags === undefined ? {} : { tags }),
  ...(path === undefined ? {} : { path }),
});

/** Refuses what the JSON parser refuses, `statement-malformed`, `predicate-type`, `digest-algorithm`, `path-outside-root`. */
export function parseRelease(payload: Uint8Array): Result<ReleaseStatement> {
  return reading(() => {
    const { subject, predicate } = readStatement(payload, 'release');
    const { name, artifacts, approvedBy } = objectAt(predicate, 'predicate', ['name', 'artifacts', 'approvedBy']);
    const release = {
      name: textAt(name, 'name'),
      artifacts: listAt(artifacts, 'artifacts').map((item, i) => artifactAt(item, `artifacts[${String(i)}]`)),
      approvedBy: listAt(approvedBy, 'approvedBy').map((person, i) => textAt(person, `approvedBy[${String(i)}]`)),
    };
    if (release.artifacts.length === 0) fail('statement-malformed', 'a release names at least one artifact');
    if (new Set(release.artifacts.map((artifact) => artifact.name)).size < release.artifacts.length) {
      fail('statement-malformed', 'two artifacts of the release have one name');
    }
    const agree =
      subject.length === release.artifacts.length &&
      release.artifacts.every(
        (artifact, i) => subject[i]?.name === artifact.name && subject[i].digest === artifact.digest,
      );
    if (!agree) fail('statement-malformed', 'subject does not list the artifacts in their order');
    const clash = placeTwice(release.artifacts) ?? pathBelowFile(release.artifacts);
    if (clash !== undefined) fail('statement-malformed', `two artifacts of the release go to one place: ${clash}`);
    return release;
  });
}

/** Where an artifact of a repository stays. An image without tags is known by its digest alone and is in no one's way. */
const placesOf = ({ type, target: { repository = '', tags = [] } }: Artifact): readonly string[] =>
  type === 'git' ? [`git repository ${repository}`] : tags.map((tag) => `${repository}:${tag}`);

/** A place that two artifacts claim (B-10): the order of work would decide which of them stays. */
function placeTwice(artifacts: readonly Artifact[]): string | undefined {
  const taken = new Set<string>();
  const paths = new Set<string>();
  for (const artifact of artifacts) {
    const { path } = artifact.target;
    if (path === undefined) {
      const twice = placesOf(artifact).find((place) => taken.size === taken.add(place).size);
      if (twice !== undefined) return twice;
    } else if (paths.size === paths.add(path).size) return `path ${path}`;
  }
  return undefined;
}

/** A path that would need a file of the same release to be a directory (B-10). */
function pathBelowFile(artifacts: readonly Artifact[]): string | undefined {
  const paths = new Set(artifacts.flatMap(({ target: { path } }) => path ?? []));
  for (const path of paths) {
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1))
      if (paths.has(path.slice(0, slash))) return `path ${path}`;
  }
  return undefined;
}

function artifactAt(value: JsonValue, where: string): Artifact {
  const keys = ['name', 'type', 'digest', 'size', 'total', 'mediaType', 'version', 'target'];
  const fields = objectAt(value, where, keys);
  const type = literalAt(fields.type, `${where}.type`, ARTIFACT_TYPES);
  const size = countAt(fields.size, `${where}.size`);
  const total = countAt(fields.total, `${where}.total`, size);
  if (type === 'file' && total !== size) fail('statement-malformed', `${where}: the total of a file is its size`);
  return {
    name: textAt(fields.name, `${where}.name`),
    type,
    digest: digestAt(fields.digest, `${where}.digest`),
    size,
    total,
    ...mediaTypeAt(fields, type, where),
    ...versionAt(fields, type, where),
    target: targetAt(fields.target, type, `${where}.target`),
  };
}

function mediaTypeAt(fields: JsonObject, type: ArtifactType, where: string): { readonly mediaType?: string } {
  if (OCI_TYPES.includes(type)) return { mediaType: textAt(fields.mediaType, `${where}.mediaType`) };
  if (fields.mediaType !== undefined) fail('statement-malformed', `${where}: a ${type} has no mediaType`);
  return {};
}

function versionAt(fields: JsonObject, type: ArtifactType, where: string): { readonly version?: number } {
  if (fields.version !== undefined) return { version: countAt(fields.version, `${where}.version`, 1) };
  if (VERSIONED.includes(type)) fail('statement-malformed', `${where}: a ${type} needs a version`);
  return {};
}

function targetAt(value: JsonValue | undefined, type: ArtifactType, where: string): Target {
  if (type === 'file') {
    const path = textAt(objectAt(value, where, ['path']).path, `${where}.path`);
    const fault = pathFault(path);
    return fault === undefined ? { path } : fail('path-outside-root', `${where}.path ${fault}`);
  }
  const fields = objectAt(value, where, type === 'git' ? ['repository'] : ['repository', 'tags']);
  const repository = textAt(fields.repository, `${where}.repository`);
  if (repository.length > 255 || !REPOSITORY.test(repository))
    fail('statement-malformed', `${where}.repository is no repository name`);
  if (type === 'git') return { repository };
  const tags = listAt(fields.tags, `${where}.tags`).map((tag, i) => textAt(tag, `${where}.tags[${String(i)}]`));
  if (!tags.every((tag) => TAG.test(tag))) fail('statement-malformed', `${where}.tags has one that is no tag`);
  return { repository, tags };
}
