import type { Random } from '../random.ts';

const SECTOR = 512;

/** A file: what its readers see, and what a loss of power would leave. */
export class FileNode {
  readonly kind = 'file';
  readonly ino: number;
  bytes = new Uint8Array(0);
  safe = new Uint8Array(0);
  /** Sectors that differ from `safe` and that a sync will write. */
  readonly dirty = new Set<number>();
  mtimeNs = 0n;
  ctimeNs = 0n;
  constructor(ino: number) {
    this.ino = ino;
  }
}

export class DirectoryNode {
  readonly kind = 'directory';
  readonly ino: number;
  entries = new Map<string, Node>();
  safe = new Map<string, Node>();
  mtimeNs = 0n;
  ctimeNs = 0n;
  constructor(ino: number) {
    this.ino = ino;
  }
}

export type Node = FileNode | DirectoryNode;

/** One change of names, which survives as a whole or not at all: a rename changes two directories. */
interface NameChange {
  readonly changes: readonly {
    readonly directory: DirectoryNode;
    readonly name: string;
    readonly node: Node | undefined;
  }[];
}

/** What goes wrong on a disk, each for one operation. */
export interface DiskFaults {
  /** Bytes that it holds. */
  capacity: number;
  readError: number;
  writeError: number;
  syncError: number;
  shortWrite: number;
  /** Names and data that were not synced are torn at a loss of power; else all of them survive. */
  tears: boolean;
}

export const HEALTHY: DiskFaults = {
  capacity: Infinity,
  readError: 0,
  writeError: 0,
  syncError: 0,
  shortWrite: 0,
  tears: true,
};

export const systemError = (code: string, syscall: string, path = ''): Error =>
  Object.assign(new Error(`${code}: simulated, ${syscall} '${path}'`), { code, syscall, path });

const NUMBERS: Readonly<Record<string, true>> = { ENOSPC: true, EIO: true };

/** True for an error that a fault made, and no mistake of the code that runs. */
export const isFault = (error: unknown): boolean => NUMBERS[(error as { code?: string }).code ?? ''] === true;

/** One file system of one machine: what is synced survives a loss of power, what is not may, in part. */
export class Disk {
  readonly name: string;
  readonly dev: number;
  readonly root = new DirectoryNode(1);
  faults: DiskFaults = { ...HEALTHY };
  readonly counts = { enospc: 0, eio: 0, lost: 0, torn: 0, flipped: 0, shortWrites: 0, slowSyncs: 0 };
  readonly #random: Random;
  #ino = 1;
  #used = 0;
  #pending: NameChange[] = [];

  constructor(name: string, dev: number, random: Random) {
    this.name = name;
    this.dev = dev;
    this.#random = random;
  }

  get used(): number {
    return this.#used;
  }

  find(parts: readonly string[]): Node | undefined {
    let at: Node | undefined = this.root;
    for (const part of parts) at = at?.kind === 'directory' ? at.entries.get(part) : undefined;
    return at;
  }

  /** The directory that holds the last of the parts. */
  parent(parts: readonly string[], syscall: string): DirectoryNode {
    const node = this.find(parts.slice(0, -1));
    if (node?.kind === 'directory') return node;
    throw systemError(node === undefined ? 'ENOENT' : 'ENOTDIR', syscall, parts.join('/'));
  }

  create(parts: readonly string[], now: bigint, kind: 'file' | 'directory'): Node {
    this.#maybe('write', 'open');
    const directory = this.parent(parts, 'open');
    if (this.#used >= this.faults.capacity) this.#full('open');
    this.#ino += 1;
    const node = kind === 'file' ? new FileNode(this.#ino) : new DirectoryNode(this.#ino);
    node.mtimeNs = node.ctimeNs = now;
    this.#change([{ directory, name: parts.at(-1) ?? '', node }]);
    return node;
  }

  remove(parts: readonly string[]): void {
    this.#maybe('write', 'unlink');
    const directory = this.parent(parts, 'unlink');
    const node = directory.entries.get(parts.at(-1) ?? '');
    if (node?.kind === 'file') this.#used -= node.bytes.length;
    this.#change([{ directory, name: parts.at(-1) ?? '', node: undefined }]);
  }

  rename(from: readonly string[], to: readonly string[], now: bigint): void {
    this.#maybe('write', 'rename');
    const node = this.find(from);
    if (node === undefined) throw systemError('ENOENT', 'rename', from.join('/'));
    const replaced = this.find(to);
    if (replaced === node) return;
    if (replaced?.kind === 'file') this.#used -= replaced.bytes.length;
    node.ctimeNs = now;
    this.#change([
      { directory: this.parent(from, 'rename'), name: from.at(-1) ?? '', node: undefined },
      { directory: this.parent(to, 'rename'), name: to.at(-1) ?? '', node },
    ]);
  }

  /** Bytes written, which may be fewer than given. */
  write(file: FileNode, bytes: Uint8Array, offset: number, now: bigint): number {
    this.#maybe('write', 'write');
    let length = bytes.length;
    if (length > 1 && this.#random.chance(this.faults.shortWrite)) {
      this.counts.shortWrites += 1;
      length = 1 + this.#random.below(length - 1);
    }
    const grown = Math.max(0, offset + length - file.bytes.length);
    if (this.#used + grown > this.faults.capacity) this.#full('write');
    this.#used += grown;
    if (grown > 0) file.bytes = resized(file.bytes, offset + length);
    file.bytes.set(bytes.subarray(0, length), offset);
    for (let at = Math.floor(offset / SECTOR); at * SECTOR < offset + length; at += 1) file.dirty.add(at);
    file.mtimeNs = file.ctimeNs = now;
    return length;
  }

  truncate(file: FileNode, length: number, now: bigint): void {
    this.#used += length - file.bytes.length;
    file.bytes = resized(file.bytes, length);
    file.dirty.add(0);
    file.mtimeNs = file.ctimeNs = now;
  }

  read(file: FileNode, into: Uint8Array, offset: number): number {
    this.#maybe('read', 'read');
    const got = Math.max(0, Math.min(into.length, file.bytes.length - offset));
    into.set(file.bytes.subarray(offset, offset + got));
    return got;
  }

  list(directory: DirectoryNode): [string, Node][] {
    this.#maybe('read', 'scandir');
    return [...directory.entries];
  }

  /** What was written is durable; after a failure the kernel believes that it is, as Linux does. */
  sync(node: Node): void {
    if (this.#random.chance(this.faults.syncError)) {
      if (node.kind === 'file') node.dirty.clear();
      this.#fail('fsync');
    }
    if (node.kind === 'file') syncFile(node);
    else this.#syncNames(node);
  }

  /** Names of a directory are durable, without a call that could fail: what SQLite does with its journal beside a database. */
  settle(parts: readonly string[]): void {
    const node = this.find(parts);
    if (node?.kind === 'directory') this.#syncNames(node);
  }

  /** syncfs(2). */
  syncAll(): void {
    this.#walk(this.root, (node) => {
      if (node.kind === 'file') syncFile(node);
    });
    for (const change of this.#pending.splice(0)) apply(change, 'safe');
  }

  /** The machine loses power: names go back to what was synced and the first of what followed, data sector by sector. */
  powerLoss(): void {
    const keep = this.faults.tears ? this.#random.below(this.#pending.length + 1) : this.#pending.length;
    this.counts.lost += this.#pending.length - keep;
    for (const change of this.#pending.splice(0).slice(0, keep)) apply(change, 'safe');
    this.#used = 0;
    this.#restore(this.root);
  }

  /** Flips one bit of a file, on the medium. */
  flip(file: FileNode): void {
    if (file.bytes.length === 0) return;
    syncFile(file);
    const at = this.#random.below(file.bytes.length);
    const mask = 1 << this.#random.below(8);
    file.bytes[at] = (file.bytes[at] ?? 0) ^ mask;
    file.safe[at] = (file.safe[at] ?? 0) ^ mask;
    this.counts.flipped += 1;
  }

  /** A copy of all that it holds, as a backup has it. */
  snapshot(): () => void {
    const copied = copyOf(this.root);
    const used = this.#used;
    return () => {
      const again = copyOf(copied);
      this.root.entries = again.entries;
      this.root.safe = again.safe;
      this.#pending = [];
      this.#used = used;
    };
  }

  /** All files with their paths. */
  files(): { readonly path: string; readonly file: FileNode }[] {
    const found: { path: string; file: FileNode }[] = [];
    this.#walk(this.root, (node, path) => {
      if (node.kind === 'file') found.push({ path, file: node });
    });
    return found;
  }

  #walk(node: Node, visit: (node: Node, path: string) => void, path = ''): void {
    visit(node, path);
    if (node.kind === 'directory')
      for (const [name, child] of node.entries) this.#walk(child, visit, `${path}/${name}`);
  }

  #change(changes: NameChange['changes']): void {
    apply({ changes }, 'entries');
    this.#pending.push({ changes });
  }

  #syncNames(directory: DirectoryNode): void {
    const isOf = ({ changes }: NameChange): boolean => changes.some((change) => change.directory === directory);
    for (const change of this.#pending) if (isOf(change)) apply(change, 'safe');
    this.#pending = this.#pending.filter((change) => !isOf(change));
  }

  #restore(directory: DirectoryNode): void {
    directory.entries = new Map(directory.safe);
    for (const node of directory.entries.values()) {
      if (node.kind === 'directory') this.#restore(node);
      else {
        this.#tear(node);
        this.#used += node.bytes.length;
      }
    }
  }

  #tear(file: FileNode): void {
    if (file.dirty.size > 0 && this.faults.tears) {
      this.counts.torn += 1;
      const survives = this.#random.below(3);
      const length =
        survives === 0 ? file.safe.length : survives === 1 ? file.bytes.length : shorter(file, this.#random);
      const bytes = resized(file.safe, length);
      for (const sector of file.dirty) {
        if (survives === 0 || !this.#random.chance(0.5)) continue;
        const from = sector * SECTOR;
        if (from < length) bytes.set(file.bytes.subarray(from, Math.min(length, from + SECTOR)), from);
      }
      file.bytes = bytes;
    } else if (file.dirty.size === 0) file.bytes = file.safe.slice();
    file.safe = file.bytes.slice();
    file.dirty.clear();
  }

  #maybe(kind: 'read' | 'write', syscall: string): void {
    if (this.#random.chance(kind === 'read' ? this.faults.readError : this.faults.writeError)) this.#fail(syscall);
  }

  #fail(syscall: string): never {
    this.counts.eio += 1;
    throw systemError('EIO', syscall);
  }

  #full(syscall: string): never {
    this.counts.enospc += 1;
    throw systemError('ENOSPC', syscall);
  }
}

const shorter = (file: FileNode, random: Random): number =>
  Math.min(file.bytes.length, file.safe.length + random.below(Math.max(1, file.bytes.length - file.safe.length)));

function syncFile(file: FileNode): void {
  if (file.dirty.size === 0) return;
  const before = file.safe;
  file.safe = resized(before, file.bytes.length);
  for (const sector of file.dirty) {
    const from = sector * SECTOR;
    if (from < file.safe.length) file.safe.set(file.bytes.subarray(from, from + SECTOR), from);
  }
  file.dirty.clear();
}

function apply({ changes }: NameChange, to: 'entries' | 'safe'): void {
  for (const { directory, name, node } of changes) {
    if (node === undefined) directory[to].delete(name);
    else directory[to].set(name, node);
  }
}

function resized(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(length);
  made.set(bytes.subarray(0, length));
  return made;
}

function copyOf(directory: DirectoryNode): DirectoryNode {
  const made = new DirectoryNode(directory.ino);
  for (const [name, node] of directory.entries)
    made.entries.set(name, node.kind === 'file' ? copyFile(node) : copyOf(node));
  made.safe = new Map(made.entries);
  return made;
}

function copyFile(file: FileNode): FileNode {
  const made = new FileNode(file.ino);
  made.bytes = file.bytes.slice();
  made.safe = file.bytes.slice();
  made.mtimeNs = file.mtimeNs;
  made.ctimeNs = file.ctimeNs;
  return made;
}
