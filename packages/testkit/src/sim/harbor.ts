import type { ImportPorts } from '@sluice/importer';
import type { Digest } from '@sluice/ports';
import { type Harbor, type HarborArtifact, type Registry, RegistryError } from '@sluice/registry';
import { digestOf } from './inputs.ts';
import { type Kernel, self } from './kernel.ts';

const CALL_NS = 2e6;
const STALL_NS = 3e9;

interface Manifest {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** One repository. */
interface Repository {
  readonly blobs: Map<Digest, Uint8Array>;
  readonly manifests: Map<Digest, Manifest>;
  readonly tags: Map<string, Digest>;
}

/** A digest that a manifest's document names, with its size. */
interface Named {
  readonly digest: Digest;
  readonly size: number;
}

/**
 * Harbor with its registry, in memory: it may fail, give no answer for long, and lie: take something and not keep it, or deny what it has.
 * It keeps the rules that a registry keeps: bytes fit their digest, a manifest's blobs are there before it.
 */
export class SimulatedHarbor {
  trouble = { fail: 0, stall: 0, lie: 0 };
  readonly counts = { 'registry.failed': 0, 'registry.stalled': 0, 'registry.lied': 0 };
  readonly repositories = new Map<string, Repository>();
  readonly #projects = new Set<string>();
  readonly #kernel: Kernel;
  /** Hears that a tag means another digest now. */
  readonly #tagged: (repository: string, tag: string, digest: Digest) => void;

  constructor(kernel: Kernel, tagged: (repository: string, tag: string, digest: Digest) => void) {
    this.#kernel = kernel;
    this.#tagged = tagged;
  }

  home(): ImportPorts['home'] {
    return { name: 'home', registry: this.#registry(), harbor: this.#harbor() };
  }

  #at(name: string): Repository {
    const known = this.repositories.get(name);
    if (known !== undefined) return known;
    const made: Repository = { blobs: new Map(), manifests: new Map(), tags: new Map() };
    this.repositories.set(name, made);
    return made;
  }

  /** One request: it takes time, and may fail before or after it was done. `lie` is the answer of one that does not keep its word. */
  #call<T>(answer: () => T, lie?: () => T): Promise<T> {
    const process = self();
    const { random } = this.#kernel;
    const { trouble, counts } = this;
    const [stalls, fails, lies] = [
      random.chance(trouble.stall),
      random.chance(trouble.fail),
      random.chance(trouble.lie),
    ];
    if (stalls) counts['registry.stalled'] += 1;
    if (fails) counts['registry.failed'] += 1;
    if (!fails && lies && lie !== undefined) counts['registry.lied'] += 1;
    return new Promise((resolve, reject) => {
      this.#kernel.after(stalls ? STALL_NS : CALL_NS, process, () => {
        try {
          if (fails && random.chance(0.5)) throw new RegistryError('registry-unavailable', 'simulated');
          const given = lies && lie !== undefined ? lie() : answer();
          if (fails) throw new RegistryError('registry-timeout', 'simulated');
          resolve(given);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }

  #setTag(repository: string, tag: string, digest: Digest): void {
    this.#at(repository).tags.set(tag, digest);
    this.#tagged(repository, tag, digest);
  }

  #resolve(repository: string, reference: string): Digest | undefined {
    const { tags, manifests } = this.#at(repository);
    const digest = reference.startsWith('sha256:') ? (reference as Digest) : tags.get(reference);
    return digest !== undefined && manifests.has(digest) ? digest : undefined;
  }

  #keepManifest(name: string, { digest, mediaType, bytes }: Manifest & { readonly digest: Digest }): void {
    if (digestOf(bytes) !== digest) throw new RegistryError('registry-manifest-invalid', 'simulated');
    const repository = this.#at(name);
    const document = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
      readonly config: Named;
      readonly layers: readonly Named[];
    };
    for (const each of [document.config, ...document.layers])
      if (repository.blobs.get(each.digest)?.length !== each.size)
        throw new RegistryError('registry-blob-unknown', 'simulated');
    repository.manifests.set(digest, { mediaType, bytes });
  }

  #registry(): Registry {
    const manifest = (repository: string, reference: string) => {
      const digest = this.#resolve(repository, reference);
      const found = digest === undefined ? undefined : this.#at(repository).manifests.get(digest);
      return digest === undefined || found === undefined
        ? undefined
        : { ...found, bytes: Buffer.from(found.bytes), digest };
    };
    return {
      origin: 'https://harbor.simulated',
      ping: () => this.#call(() => undefined),
      blobSize: (repository, digest) =>
        this.#call(
          () => this.#at(repository).blobs.get(digest)?.length,
          () => undefined,
        ),
      pushBlob: async (repository, { digest, size, read }) => {
        const pieces: Uint8Array[] = [];
        for await (const piece of await read()) pieces.push(piece);
        const bytes = Buffer.concat(pieces);
        return this.#call(
          () => {
            if (bytes.length !== size || digestOf(bytes) !== digest)
              throw new RegistryError('registry-digest-invalid', 'simulated');
            this.#at(repository).blobs.set(digest, bytes);
            return 'uploaded';
          },
          () => 'uploaded',
        );
      },
      manifest: (repository, reference) =>
        this.#call(
          () => manifest(repository, reference),
          () => undefined,
        ),
      manifestDigest: (repository, reference) =>
        this.#call(
          () => this.#resolve(repository, reference),
          () => undefined,
        ),
      pushManifest: (repository, pushed, tag) =>
        this.#call(
          () => {
            this.#keepManifest(repository, pushed);
            if (tag !== undefined) this.#setTag(repository, tag, pushed.digest);
          },
          () => undefined,
        ),
      referrers: () => this.#call(() => undefined),
      close: () => undefined,
    };
  }

  #harbor(): Harbor {
    const artifact = (repository: string, reference: string): HarborArtifact | undefined => {
      const digest = this.#resolve(repository, reference);
      return digest === undefined ? undefined : { digest, size: 0, tags: [], accessories: [] };
    };
    const never = (): Promise<never> => Promise.reject(new Error('there is no replication here'));
    return {
      origin: 'https://harbor.simulated',
      systemInfo: () => this.#call(() => ({ version: undefined, readOnly: false })),
      projectExists: (project) => this.#call(() => this.#projects.has(project)),
      createProject: (project) => this.#call(() => void this.#projects.add(project)),
      artifact: (repository, reference) =>
        this.#call(
          () => artifact(repository, reference),
          () => undefined,
        ),
      createTag: (repository, digest, tag) =>
        this.#call(
          () => {
            const { tags, manifests } = this.#at(repository);
            if (!manifests.has(digest)) throw new RegistryError('registry-not-found', 'simulated');
            if (tags.has(tag)) return 'exists';
            this.#setTag(repository, tag, digest);
            return 'created';
          },
          () => 'created',
        ),
      replicationPolicy: never,
      startReplication: never,
      replicationExecution: never,
      replicationTasks: never,
      close: () => undefined,
    };
  }
}
