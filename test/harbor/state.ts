import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Artifact {
  readonly id: number;
  readonly digest: string;
  readonly mediaType: string;
  readonly artifactType: string;
  readonly size: number;
  readonly pushTime: string;
  readonly subject: string | undefined;
  readonly children: readonly string[];
  readonly blobs: readonly string[];
}
export interface Tag {
  readonly id: number;
  readonly digest: string;
  /** Came by a push of the manifest, not through the tag API. */
  readonly pushed: boolean;
  readonly pushTime: string;
}
export interface Repository {
  readonly id: number;
  readonly artifacts: Map<string, Artifact>;
  readonly tags: Map<string, Tag>;
  readonly blobs: Map<string, number>;
}
export interface Project {
  readonly id: number;
  readonly metadata: Record<string, string>;
  /** Bytes, -1 for none. */
  quota: number;
  /** Tag patterns (`*` any text) that are immutable. */
  immutable: string[];
}
export interface Account {
  readonly username: string;
  readonly password: string;
  /** A pull account may read; anything else is 403. */
  readonly pullOnly?: boolean;
}
export interface Policy {
  readonly id: number;
  readonly name: string;
  enabled: boolean;
  readonly override: boolean;
  readonly singleActive: boolean;
  /** `name` and `tag` globs: `*` within a path segment, `**` any text. */
  readonly filters: readonly { readonly type: 'name' | 'tag'; readonly value: string }[];
  readonly destination: { readonly name: string; readonly url: string } & Account;
}

/** What Harbor keeps in its database. Written to `DIR/harbor.json` after each change, so a restarted stand-in goes on. */
export class State {
  readonly projects = new Map<string, Project>();
  readonly repositories = new Map<string, Repository>();
  readonly policies: Policy[] = [];
  readonly #path: string;
  #lastId = 0;

  constructor(dir: string) {
    mkdirSync(dir, { recursive: true });
    this.#path = join(dir, 'harbor.json');
    this.#load();
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  project(repository: string): Project | undefined {
    return this.projects.get(repository.split('/')[0] ?? '');
  }

  addProject(name: string, metadata: Record<string, string>, quota = -1): Project {
    const project = { id: this.nextId(), metadata, quota, immutable: [] };
    this.projects.set(name, project);
    this.save();
    return project;
  }

  repository(name: string): Repository {
    const known = this.repositories.get(name);
    if (known !== undefined) return known;
    const made = { id: this.nextId(), artifacts: new Map(), tags: new Map(), blobs: new Map() };
    this.repositories.set(name, made);
    return made;
  }

  resolve(repository: string, reference: string): string | undefined {
    const known = this.repositories.get(repository);
    if (known === undefined) return undefined;
    const digest = reference.includes(':') ? reference : known.tags.get(reference)?.digest;
    return digest !== undefined && known.artifacts.has(digest) ? digest : undefined;
  }

  setTag(repository: string, tag: string, digest: string, pushed: boolean): void {
    this.repository(repository).tags.set(tag, {
      id: this.nextId(),
      digest,
      pushed,
      pushTime: new Date().toISOString(),
    });
    this.save();
  }

  isImmutable(repository: string, tag: string): boolean {
    return (this.project(repository)?.immutable ?? []).some((pattern) => globMatches(pattern, tag));
  }

  /** Bytes of the project's blobs, each counted once. */
  used(repository: string): number {
    const prefix = `${repository.split('/')[0] ?? ''}/`;
    const blobs = new Map<string, number>();
    for (const [name, { blobs: held }] of this.repositories) {
      if (name.startsWith(prefix)) for (const [digest, size] of held) blobs.set(digest, size);
    }
    return [...blobs.values()].reduce((sum, size) => sum + size, 0);
  }

  save(): void {
    const repositories = [...this.repositories].map(([name, { id, artifacts, tags, blobs }]) => {
      return [name, { id, artifacts: [...artifacts], tags: [...tags], blobs: [...blobs] }];
    });
    const kept = { lastId: this.#lastId, projects: [...this.projects], repositories };
    writeFileSync(`${this.#path}.new`, JSON.stringify(kept));
    renameSync(`${this.#path}.new`, this.#path);
  }

  #load(): void {
    let kept: {
      lastId: number;
      projects: [string, Project][];
      repositories: [
        string,
        { id: number; artifacts: [string, Artifact][]; tags: [string, Tag][]; blobs: [string, number][] },
      ][];
    };
    try {
      kept = JSON.parse(readFileSync(this.#path, 'utf8')) as typeof kept;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    this.#lastId = kept.lastId;
    for (const [name, project] of kept.projects) this.projects.set(name, project);
    for (const [name, { id, artifacts, tags, blobs }] of kept.repositories) {
      const maps = { artifacts: new Map(artifacts), tags: new Map(tags), blobs: new Map(blobs) };
      this.repositories.set(name, { id, ...maps });
    }
  }
}

export function globMatches(pattern: string, value: string): boolean {
  const source = pattern
    .split('**')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*'))
    .join('.*');
  return new RegExp(`^${source}$`).test(value);
}
