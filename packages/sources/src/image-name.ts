import { OperationalError } from '@sluice/ports';
import { FULL_NAME, REF_NAME } from '@sluice/bundle';
import type { Descriptor } from '@sluice/bundle';

/** How a layout's index names an image. */
export interface ImageName {
  /** The repository without registry host, when the name has one. */
  readonly repository?: string;
  readonly tag?: string;
}

const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const REPOSITORY_LENGTH = 255;

/**
 * The name that a descriptor of `index.json` carries. `org.opencontainers.image.ref.name` is a tag to most tools and a full name to some; a full name also
 * stands in `io.containerd.image.name`.
 */
export function nameOf({ annotations }: Descriptor): ImageName {
  const ref = annotations[REF_NAME];
  const full = annotations[FULL_NAME];
  const name = full === undefined ? {} : parseFullName(full);
  if (ref === undefined || ref === '') return name;
  return /[/:]/.test(ref) ? { ...name, ...parseFullName(ref) } : { ...name, tag: ref };
}

/** `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]` (distribution's reference grammar); the host has a dot, a port, or is localhost. */
function parseFullName(text: string): ImageName {
  const [name = ''] = text.split('@');
  const colon = name.lastIndexOf(':');
  const hasTag = colon > name.lastIndexOf('/');
  const path = hasTag ? name.slice(0, colon) : name;
  const [host = '', ...rest] = path.split('/');
  const isHost = rest.length > 0 && (/[.:]/.test(host) || host === 'localhost');
  const repository = isHost ? rest.join('/') : path;
  return { repository, ...(hasTag ? { tag: name.slice(colon + 1) } : {}) };
}

/** Throws OperationalError `release-name` unless registries take this repository and tag. */
export function checkName(repository: string, tag: string | undefined): void {
  if (repository.length > REPOSITORY_LENGTH || !REPOSITORY.test(repository)) {
    throw new OperationalError(
      'release-name',
      `${JSON.stringify(repository)} is no repository that a registry takes; name another with --repository.`,
      { retryable: false },
    );
  }
  if (tag === undefined || TAG.test(tag)) return;
  throw new OperationalError(
    'release-name',
    `${JSON.stringify(tag)} is no tag that a registry takes; retag the image in its layout.`,
    {
      retryable: false,
    },
  );
}
