import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { hexOf, ok, OperationalError } from '@sluice/ports';
import type { Digest, Result } from '@sluice/ports';
import { findImages, placeImages } from './compose-images.ts';
import type { Candidate, ComposedImage, RepositoryOf } from './compose-images.ts';
import { guarded, ioError } from './beneath.ts';
import { Content } from './content.ts';
import { hashFile } from './hashing.ts';
import { scanDirectory, scanFile, shown } from './scan.ts';
import type { Scan } from './scan.ts';

/** An artifact of a release statement (PROTOCOL.md section 8). */
export interface ReleaseArtifact {
  readonly name: string;
  readonly type: 'image' | 'chart' | 'cve-db' | 'file';
  readonly digest: Digest;
  readonly size: number;
  readonly total: number;
  readonly mediaType?: string;
  readonly version?: number;
  readonly target: { readonly repository: string; readonly tags: readonly string[] } | { readonly path: string };
}

export interface ReleaseDocument {
  readonly _type: 'https://in-toto.io/Statement/v1';
  readonly subject: readonly { readonly name: string; readonly digest: { readonly sha256: string } }[];
  readonly predicateType: 'urn:sluice:release:v1';
  readonly predicate: {
    readonly name: string;
    readonly artifacts: readonly ReleaseArtifact[];
    readonly approvedBy: readonly string[];
  };
}

export interface ComposeOptions {
  readonly name: string;
  readonly approvedBy: readonly string[];
  readonly repositoryOf: RepositoryOf;
  /** The version of a CVE database; else its creation time in seconds is taken. */
  readonly versionOf?: (name: string) => number | undefined;
  /** The version of everything that has none of its own. */
  readonly version?: number | undefined;
}

export interface Composed {
  readonly statement: ReleaseDocument;
  /** What lies in the paths and is not in the statement, a sentence each. */
  readonly notes: readonly string[];
}

const HELM_CONFIG = 'application/vnd.cncf.helm.config.v1+json';
const TRIVY_LAYER = /^application\/vnd\.aquasec\.trivy\.(db|javadb)\.layer\.v1\./;
const CREATED = 'org.opencontainers.image.created';

/**
 * Makes a release statement, not signed, of directories, archives of layouts and plain files. Images of layouts become artifacts with their tags; signatures,
 * attestations and other referrers become artifacts beside their subjects; files outside layouts become files by their path within the path given.
 * Refuses what scans and closures refuse. Throws OperationalError `release-name` and `release-version` for what only the caller can settle.
 */
export async function composeRelease(paths: readonly string[], options: ComposeOptions): Promise<Result<Composed>> {
  const notes: string[] = [];
  const candidates: Candidate[] = [];
  const files = new Map<string, ReleaseArtifact>();
  for (const path of paths) {
    const scanned = await scanPath(path);
    if (!scanned.ok) return scanned;
    const { root } = scanned.value;
    try {
      const added = await guarded(`Reading ${shown(path)}`, async () => {
        const images = await findImages(scanned.value, new Content(scanned.value), path, notes);
        if (!images.ok) return images;
        for (const image of images.value) candidates.push(image);
        addFiles(scanned.value, path, files, notes, options.version);
        return ok(undefined);
      });
      if (!added.ok) return added;
    } finally {
      root.close();
    }
  }
  const images = placeImages(candidates, options.repositoryOf).map((image) => imageArtifact(image, options));
  return ok({ statement: statementOf([...images, ...files.values()], options), notes });
}

async function scanPath(path: string): Promise<Result<Scan>> {
  const full = resolve(path);
  let isDirectory: boolean;
  try {
    isDirectory = (await stat(full)).isDirectory();
  } catch (error) {
    throw ioError(error, `Reading ${shown(path)}`);
  }
  return isDirectory ? scanDirectory(full) : scanFile(full);
}

function addFiles(
  scan: Scan,
  given: string,
  files: Map<string, ReleaseArtifact>,
  notes: string[],
  version: number | undefined,
): void {
  const layouts = new Set(scan.layouts.map(({ path }) => path));
  for (const file of scan.files) {
    if (liesIn(layouts, file.path)) {
      notes.push(`${shown(file.path)} lies in an OCI layout and is no part of it: left out.`);
      continue;
    }
    const unread = scan.unreadArchives.get(file.path);
    if (unread !== undefined)
      notes.push(`${shown(file.path)} goes as a plain file, not as an OCI layout: ${unread.detail}`);
    if (files.has(file.path)) {
      throw new OperationalError('release-name', `${shown(file.path)} of ${shown(given)} is there twice; rename one.`, {
        retryable: false,
      });
    }
    const digest = hashFile(scan.root, file);
    files.set(file.path, {
      name: file.path,
      type: 'file',
      digest,
      size: file.size,
      total: file.size,
      ...(version === undefined ? {} : { version }),
      target: { path: file.path },
    });
  }
}

/** True for a path below one of these. */
function liesIn(directories: ReadonlySet<string>, path: string): boolean {
  if (directories.has('')) return true;
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
    if (directories.has(path.slice(0, end))) return true;
  }
  return false;
}

function imageArtifact(image: ComposedImage, options: ComposeOptions): ReleaseArtifact {
  const { repository, tags, descriptor, closure } = image;
  const [tag] = tags;
  const name = tag === undefined ? `${repository}@${descriptor.digest}` : `${repository}:${tag}`;
  const type = typeOf(image);
  const version = options.versionOf?.(name) ?? (type === 'cve-db' ? createdSeconds(image, name) : options.version);
  return {
    name,
    type,
    digest: descriptor.digest,
    size: descriptor.size,
    mediaType: descriptor.mediaType,
    total: closure.total,
    ...(version === undefined ? {} : { version }),
    target: { repository, tags },
  };
}

function typeOf({ closure: { root }, subject }: ComposedImage): 'image' | 'chart' | 'cve-db' {
  if (root.kind === 'index' || subject !== undefined) return 'image';
  if (root.config.mediaType === HELM_CONFIG) return 'chart';
  return root.layers.some(({ mediaType }) => TRIVY_LAYER.test(mediaType)) ? 'cve-db' : 'image';
}

function createdSeconds({ closure: { root } }: ComposedImage, name: string): number {
  const seconds = Math.floor(Date.parse(root.annotations[CREATED] ?? '') / 1000);
  if (Number.isSafeInteger(seconds) && seconds > 0) return seconds;
  throw new OperationalError(
    'release-version',
    `The CVE database ${name} does not say when it was made; give its version.`,
    {
      retryable: false,
    },
  );
}

function statementOf(artifacts: readonly ReleaseArtifact[], { name, approvedBy }: ComposeOptions): ReleaseDocument {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: artifacts.map((artifact) => ({ name: artifact.name, digest: { sha256: hexOf(artifact.digest) } })),
    predicateType: 'urn:sluice:release:v1',
    predicate: { name, artifacts, approvedBy },
  };
}
