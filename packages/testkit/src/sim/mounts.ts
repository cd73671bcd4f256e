import { Crash, kernel, type Process, self } from './kernel.ts';
import { type Disk, type DirectoryNode, type FileNode, isFault, type Node, systemError } from './disk.ts';

/** What a call of the file system is about: chance may end the process in the middle of it. */
export interface FileSystemPolicy {
  /** Ends the process, or its machine, during this call. */
  strikes(process: Process, path: string): boolean;
  strike(process: Process): void;
  /** How long a call takes, nanoseconds. */
  latencyNs(sync: boolean): number;
  /** A file got this name. */
  named(path: string, node: Node): void;
}

export interface Place {
  readonly disk: Disk;
  /** From the root of the disk. */
  readonly parts: readonly string[];
  readonly path: string;
}

/** The disks of a world: `/MACHINE/MOUNT/…`. Mounts may lie on one disk. */
export class Mounts {
  readonly policy: FileSystemPolicy;
  readonly #disks = new Map<string, Disk>();
  /** Where paths lead that were asked for: disks and mounts stay as they are. */
  readonly #places = new Map<string, Place>();

  constructor(policy: FileSystemPolicy) {
    this.policy = policy;
  }

  add(machine: string, mount: string, disk: Disk): void {
    this.#places.clear();
    this.#disks.set(`${machine}/${mount}`, disk);
    if (disk.find([mount]) === undefined) disk.create([mount], 0n, 'directory');
    disk.sync(disk.root);
  }

  get disks(): ReadonlySet<Disk> {
    return new Set(this.#disks.values());
  }

  of(machine: string): readonly Disk[] {
    const names = [...this.#disks].filter(([name]) => name.startsWith(`${machine}/`));
    return [...new Set(names.map(([, disk]) => disk))];
  }

  disk(machine: string, mount: string): Disk {
    const disk = this.#disks.get(`${machine}/${mount}`);
    if (disk === undefined) throw new Error(`no mount ${machine}/${mount}`);
    return disk;
  }

  place(path: string): Place {
    const known = this.#places.get(path) ?? this.#find(path);
    this.#places.set(path, known);
    return known;
  }

  #find(path: string): Place {
    const [machine = '', mount = '', ...rest] = path.split('/').filter((part) => part !== '');
    const disk = this.#disks.get(`${machine}/${mount}`);
    if (disk === undefined) throw new Error(`the simulation has no ${path}`);
    return { disk, parts: [mount, ...rest], path };
  }
}

let mounted: Mounts | undefined;

/** Puts the disks of a world in place; one world at a time. */
export function mount(mounts: Mounts | undefined): void {
  mounted = mounts;
}

export function mounts(): Mounts {
  if (mounted === undefined) throw new Error('no disks are mounted');
  return mounted;
}

export const nowNs = (): bigint => BigInt(Math.floor(kernel().wallMs() * 1e6)) + BigInt(kernel().events);

/** One call that blocks. */
export function blocking<T>(path: string, call: () => T): T {
  const process = self();
  const { policy } = mounts();
  if (!policy.strikes(process, path)) return call();
  if (kernel().random.chance(0.5)) tryOnce(call);
  policy.strike(process);
  throw new Crash();
}

function tryOnce(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    // The process does not live to see it.
    if ((error as { code?: unknown }).code === undefined) throw error;
  }
}

/** One call that is waited for: it takes effect at its beginning or at its end, as chance has it. */
export function waiting<T>(path: string, call: () => T, sync = false): Promise<T> {
  const process = self();
  const { policy } = mounts();
  const world = kernel();
  const latency = policy.latencyNs(sync);
  const early = world.random.chance(0.5) ? settled(call) : undefined;
  if (policy.strikes(process, path)) world.after(latency * world.random.unit(), process, () => policy.strike(process));
  return new Promise((resolve, reject) => {
    world.after(latency, process, () => {
      const end = early ?? settled(call);
      if (end.ok) resolve(end.value);
      else reject(end.error instanceof Error ? end.error : new Error(String(end.error)));
    });
  });
}

type Settled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

function settled<T>(call: () => T): Settled<T> {
  try {
    return { ok: true, value: call() };
  } catch (error) {
    if (!isFault(error) && (error as { code?: unknown }).code === undefined) throw error;
    return { ok: false, error };
  }
}

export function existing(path: string, syscall: string): Node {
  const { disk, parts } = mounts().place(path);
  const node = disk.find(parts);
  if (node === undefined) throw systemError('ENOENT', syscall, path);
  return node;
}

export function existingDirectory(path: string, syscall: string): DirectoryNode {
  const node = existing(path, syscall);
  if (node.kind !== 'directory') throw systemError('ENOTDIR', syscall, path);
  return node;
}

export function existingFile(path: string, syscall: string): FileNode {
  const node = existing(path, syscall);
  if (node.kind !== 'file') throw systemError('EISDIR', syscall, path);
  return node;
}
