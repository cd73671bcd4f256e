import { constants } from 'node:fs';
import { type DirectoryNode, type FileNode, type Node, systemError } from '../disk.ts';
import { existing, existingDirectory, existingFile, mounts, nowNs } from '../mounts.ts';

/** What the calls of `node:fs` and of `node:fs/promises` have in common: each does one thing to the simulated disks at once. */

export interface Handle {
  readonly path: string;
  readonly node: Node;
  position: number;
  closed: boolean;
}

const FLAGS: Readonly<Record<string, number>> = {
  r: constants.O_RDONLY,
  'r+': constants.O_RDWR,
  w: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
  wx: constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
  a: constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND,
};

export function openNode(path: string, flags: string | number = 'r'): Handle {
  const bits = typeof flags === 'number' ? flags : (FLAGS[flags] ?? 0);
  const { disk, parts } = mounts().place(path);
  let node = disk.find(parts);
  if (node !== undefined && (bits & constants.O_EXCL) !== 0) throw systemError('EEXIST', 'open', path);
  if (node === undefined) {
    if ((bits & constants.O_CREAT) === 0) throw systemError('ENOENT', 'open', path);
    node = disk.create(parts, nowNs(), 'file');
    mounts().policy.named(path, node);
  } else if (node.kind === 'file' && (bits & constants.O_TRUNC) !== 0) disk.truncate(node, 0, nowNs());
  else if (node.kind === 'file' && (bits & constants.O_DIRECTORY) !== 0) throw systemError('ENOTDIR', 'open', path);
  return { path, node, position: 0, closed: false };
}

export function fileOf(handle: Handle, syscall: string): FileNode {
  if (handle.closed) throw systemError('EBADF', syscall, handle.path);
  if (handle.node.kind === 'directory') throw systemError('EISDIR', syscall, handle.path);
  return handle.node;
}

export function writeAt(handle: Handle, bytes: Uint8Array, position: number | null | undefined): number {
  const file = fileOf(handle, 'write');
  const { disk } = mounts().place(handle.path);
  const written = disk.write(file, bytes, position ?? handle.position, nowNs());
  if (typeof position !== 'number') handle.position += written;
  return written;
}

export function readAt(handle: Handle, into: Uint8Array, position: number | null | undefined): number {
  const got = mounts()
    .place(handle.path)
    .disk.read(fileOf(handle, 'read'), into, position ?? handle.position);
  if (typeof position !== 'number') handle.position += got;
  return got;
}

export function syncNode(handle: Handle): void {
  if (handle.closed) throw systemError('EBADF', 'fsync', handle.path);
  mounts().place(handle.path).disk.sync(handle.node);
}

export function contentOf(path: string): Buffer {
  const file = existingFile(path, 'open');
  const bytes = Buffer.alloc(file.bytes.length);
  mounts().place(path).disk.read(file, bytes, 0);
  return bytes;
}

export function writeContent(path: string, content: Uint8Array | string): void {
  const handle = openNode(path, 'w');
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  for (let done = 0; done < bytes.length;) done += writeAt(handle, bytes.subarray(done), done);
}

export function renameNode(from: string, to: string): void {
  const [old, made] = [mounts().place(from), mounts().place(to)];
  if (old.disk !== made.disk) throw systemError('EXDEV', 'rename', from);
  old.disk.rename(old.parts, made.parts, nowNs());
  const node = made.disk.find(made.parts);
  if (node !== undefined) mounts().policy.named(to, node);
}

export interface RemoveOptions {
  readonly force?: boolean;
  readonly recursive?: boolean;
}

export function removeNode(path: string, { force = false, recursive = false }: RemoveOptions = {}): void {
  const { disk, parts } = mounts().place(path);
  const node = disk.find(parts);
  if (node === undefined) {
    if (force) return;
    throw systemError('ENOENT', 'rm', path);
  }
  if (node.kind === 'directory') {
    if (!recursive) throw systemError('EISDIR', 'rm', path);
    for (const name of [...node.entries.keys()]) removeNode(`${path}/${name}`, { recursive });
  }
  disk.remove(parts);
}

export function makeDirectory(path: string, options: { readonly recursive?: boolean } = {}): void {
  const { disk, parts } = mounts().place(path);
  for (let length = options.recursive === true ? 1 : parts.length; length <= parts.length; length += 1) {
    const node = disk.find(parts.slice(0, length));
    if (node === undefined) disk.create(parts.slice(0, length), nowNs(), 'directory');
    else if (options.recursive !== true) throw systemError('EEXIST', 'mkdir', path);
    else if (node.kind === 'file') throw systemError('ENOTDIR', 'mkdir', path);
  }
}

export class Entry {
  readonly name: string;
  readonly node: Node;
  constructor(name: string, node: Node) {
    this.name = name;
    this.node = node;
  }
  isFile(): boolean {
    return this.node.kind === 'file';
  }
  isDirectory(): boolean {
    return this.node.kind === 'directory';
  }
}

export function listDirectory(path: string, options: { readonly withFileTypes?: boolean } = {}): Entry[] | string[] {
  const directory = existingDirectory(path, 'scandir');
  const found = mounts()
    .place(path)
    .disk.list(directory)
    .map(([name, node]) => new Entry(name, node));
  return options.withFileTypes === true ? found : found.map(({ name }) => name);
}

export interface StatOptions {
  readonly bigint?: boolean;
  readonly throwIfNoEntry?: boolean;
}

export class Stats {
  readonly #node: FileNode | DirectoryNode;
  readonly #big: boolean;
  readonly #dev: number;
  constructor(node: Node, dev: number, big: boolean) {
    this.#node = node;
    this.#dev = dev;
    this.#big = big;
    // What is there now is what was asked for: the node may change later.
    const size = node.kind === 'file' ? node.bytes.length : 4096;
    this.size = big ? BigInt(size) : size;
    this.mtimeNs = node.mtimeNs;
    this.ctimeNs = node.ctimeNs;
    this.mtimeMs = Number(node.mtimeNs) / 1e6;
  }
  readonly size: number | bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly mtimeMs: number;
  get ino(): number | bigint {
    return this.#big ? BigInt(this.#node.ino) : this.#node.ino;
  }
  get dev(): number | bigint {
    return this.#big ? BigInt(this.#dev) : this.#dev;
  }
  isFile(): boolean {
    return this.#node.kind === 'file';
  }
  isDirectory(): boolean {
    return this.#node.kind === 'directory';
  }
}

export const statNode = (node: Node, path: string, options: StatOptions = {}): Stats =>
  new Stats(node, mounts().place(path).disk.dev, options.bigint === true);

export function statPath(path: string, options: StatOptions = {}): Stats | undefined {
  const { disk, parts } = mounts().place(path);
  const node = disk.find(parts);
  if (node === undefined && options.throwIfNoEntry === false) return undefined;
  return statNode(node ?? existing(path, 'stat'), path, options);
}
