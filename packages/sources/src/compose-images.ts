import { ok, OperationalError, refuse } from '@sluice/ports';
import type { Digest, Result } from '@sluice/ports';
import { closureOf, cosignTag, kindOf, OCI_MANIFEST_BYTES, parseManifest, referrersTag } from '@sluice/bundle';
import type { Closure, Descriptor } from '@sluice/bundle';
import type { Content } from './content.ts';
import { checkName, nameOf } from './image-name.ts';
import type { ImageName } from './image-name.ts';
import { shown } from './scan.ts';
import type { Layout, Scan } from './scan.ts';

/** An image, chart or database as it goes into a release: one for each digest and repository. */
export interface ComposedImage {
  readonly repository: string;
  readonly tags: readonly string[];
  readonly descriptor: Descriptor;
  readonly closure: Closure;
  /** The image that this one is about: a signature, attestation or SBOM. */
  readonly subject: Digest | undefined;
}

/** Asked for each image of a layout: the repository it shall go to, or undefined to take the one that its own name gives. */
export type RepositoryOf = (image: {
  readonly path: string;
  readonly name: ImageName;
  readonly digest: Digest;
}) => string | undefined;

export interface Candidate {
  readonly path: string;
  readonly name: ImageName;
  readonly descriptor: Descriptor;
  readonly closure: Closure;
  readonly subject: Digest | undefined;
}

/** The images that a scan's layouts name, with their closures; every blob of them must be there. `notes` says what was passed over. */
export async function findImages(
  scan: Scan,
  content: Content,
  given: string,
  notes: string[],
): Promise<Result<Candidate[]>> {
  const candidates: Candidate[] = [];
  for (const layout of scan.layouts) {
    const path = layout.path === '' ? given : `${given}/${layout.path}`;
    const descriptors = expand(layout, content, path, notes);
    if (!descriptors.ok) return descriptors;
    for (const descriptor of descriptors.value) {
      const candidate = await readCandidate(descriptor, content, path);
      if (!candidate.ok) return candidate;
      candidates.push(candidate.value);
    }
  }
  return ok(candidates);
}

/** The descriptors of a layout's index; those of a referrers tag (`sha256-HEX`) in place of the tag, which a registry keeps for itself. */
function expand(layout: Layout, content: Content, path: string, notes: string[]): Result<Descriptor[]> {
  const descriptors: Descriptor[] = [];
  for (const descriptor of layout.index.manifests) {
    const { tag } = nameOf(descriptor);
    if (kindOf(descriptor.mediaType) === 'blob') {
      notes.push(
        `${shown(path)} lists ${descriptor.digest} of the type ${descriptor.mediaType}, which is no image: left out.`,
      );
    } else if (tag !== undefined && referrersTag(tag) !== undefined) {
      const bytes = content.readVerified(descriptor.digest, Math.min(descriptor.size, OCI_MANIFEST_BYTES), shown(path));
      if (!bytes.ok) return bytes;
      const index = parseManifest(bytes.value, descriptor.mediaType);
      if (!index.ok) return index;
      if (index.value.kind === 'index') descriptors.push(...index.value.manifests);
    } else {
      descriptors.push(descriptor);
    }
  }
  return ok(descriptors);
}

async function readCandidate(descriptor: Descriptor, content: Content, path: string): Promise<Result<Candidate>> {
  const name = nameOf(descriptor);
  const closure = await closureOf(descriptor, (digest, size) =>
    Promise.resolve(content.readVerified(digest, Math.min(size, OCI_MANIFEST_BYTES), shown(path))),
  );
  if (!closure.ok) return refuse(closure.error.code, `In ${shown(path)}: ${closure.error.detail}`);
  for (const { digest, size } of closure.value.entries) {
    const location = content.locate(digest, size, shown(path));
    if (!location.ok) return location;
  }
  const tagged = name.tag === undefined ? undefined : cosignTag(name.tag)?.subject;
  return ok({ path, name, descriptor, closure: closure.value, subject: tagged ?? closure.value.root.subject?.digest });
}

/**
 * Gives each candidate its repository: what `repositoryOf` says, else its own name's; a signature or other referrer goes where its subject goes
 * (PROTOCOL.md B-4). Subjects come before what refers to them. Throws OperationalError `release-name` where there is no repository, or two images claim
 * one tag.
 */
export function placeImages(candidates: readonly Candidate[], repositoryOf: RepositoryOf): ComposedImage[] {
  const placed = new Placed();
  let waiting = candidates;
  while (waiting.length > 0) {
    const digests = new Set(waiting.map(({ descriptor }) => descriptor.digest));
    const isReady = ({ subject }: Candidate): boolean => subject === undefined || !digests.has(subject);
    const ready = waiting.filter(isReady);
    // Subjects that go round in a circle cannot be: each digest covers the next. A cosign tag on itself could.
    for (const candidate of ready.length > 0 ? ready : waiting) {
      for (const repository of repositoriesOf(candidate, placed, repositoryOf)) placed.add(candidate, repository);
    }
    waiting = ready.length > 0 ? waiting.filter((candidate) => !isReady(candidate)) : [];
  }
  const images = placed.images();
  checkTags(images);
  const parts = partsOf(images);
  // An untagged image that another of its repository contains is no artifact of its own.
  return images.filter(
    ({ repository, tags, subject, descriptor }) =>
      tags.length > 0 || subject !== undefined || !parts.has(`${repository}@${descriptor.digest}`),
  );
}

/** Images that have their repository. */
class Placed {
  readonly #images = new Map<string, ComposedImage>();
  readonly #repositories = new Map<Digest, Set<string>>();

  add({ name, descriptor, closure, subject }: Candidate, repository: string): void {
    checkName(repository, name.tag);
    const key = `${repository}@${descriptor.digest}`;
    const tags = new Set(this.#images.get(key)?.tags);
    if (name.tag !== undefined) tags.add(name.tag);
    this.#images.set(key, { repository, tags: [...tags].sort(), descriptor, closure, subject });
    const repositories = this.#repositories.get(descriptor.digest) ?? new Set();
    this.#repositories.set(descriptor.digest, repositories.add(repository));
  }

  repositoriesOf(digest: Digest): readonly string[] {
    return [...(this.#repositories.get(digest) ?? [])];
  }

  images(): readonly ComposedImage[] {
    return [...this.#images.values()];
  }
}

function repositoriesOf(
  { path, name, descriptor, subject }: Candidate,
  placed: Placed,
  repositoryOf: RepositoryOf,
): readonly string[] {
  const subjects = subject === undefined ? [] : placed.repositoriesOf(subject);
  if (subjects.length > 0) return subjects;
  const repository = repositoryOf({ path, name, digest: descriptor.digest }) ?? name.repository;
  if (repository !== undefined) return [repository];
  throw new OperationalError(
    'release-name',
    `${shown(path)} does not say which repository ${name.tag ?? descriptor.digest} belongs to; name it with --repository.`,
    { retryable: false },
  );
}

function checkTags(images: readonly ComposedImage[]): void {
  const owners = new Map<string, Digest>();
  for (const { repository, tags, descriptor } of images) {
    for (const tag of tags) {
      const owner = owners.get(`${repository}:${tag}`);
      if (owner !== undefined && owner !== descriptor.digest) {
        throw new OperationalError(
          'release-name',
          `Two images, ${owner} and ${descriptor.digest}, claim ${repository}:${tag}; retag one, or name another repository with --repository.`,
          { retryable: false },
        );
      }
      owners.set(`${repository}:${tag}`, descriptor.digest);
    }
  }
}

/** `REPOSITORY@DIGEST` of what lies in another image of the repository. */
function partsOf(images: readonly ComposedImage[]): ReadonlySet<string> {
  const parts = new Set<string>();
  for (const { repository, descriptor, closure } of images) {
    for (const { digest } of closure.entries) {
      if (digest !== descriptor.digest) parts.add(`${repository}@${digest}`);
    }
  }
  return parts;
}
