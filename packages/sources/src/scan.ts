import { basename, dirname } from 'node:path';
import { isDigest, ok, refuse } from '@sluice/ports';
import type { Digest, Refusal, Result } from '@sluice/ports';
import { OCI_MANIFEST_BYTES, parseLayoutIndex, parseOciLayout, pathFault, TAR_NAME_BYTES } from '@sluice/bundle';
import type { ImageIndex } from '@sluice/bundle';
import { indexArchive, indexHeld } from './archive.ts';
import { guarded, readAll, Root } from './beneath.ts';
import type { Location } from './beneath.ts';

export const RELEASE_FILE = 'release.dsse.json';

export interface ScanLimits {
  /** Most files and directories in the bundle, archive members included. */
  readonly entries: number;
  /** Deepest nesting of directories. */
  readonly depth: number;
  /** Most bytes of all files together. */
  readonly bytes: number;
}

export const DEFAULT_SCAN_LIMITS: ScanLimits = { entries: 200_000, depth: 32, bytes: 2 ** 40 };

/** An OCI image layout: a directory, or an archive of one. Blob names are claims until their bytes are hashed. */
export interface Layout {
  /** Path of the directory or archive in the bundle; `''` is the bundle directory itself. */
  readonly path: string;
  readonly index: ImageIndex;
  readonly blobs: ReadonlyMap<Digest, Location>;
}

/** What a bundle directory holds (PROTOCOL.md section 9). Nothing is hashed yet. */
export interface Scan {
  readonly root: Root;
  readonly release: Location | undefined;
  readonly layouts: readonly Layout[];
  /** Regular files that belong to no layout; archives that are no layouts among them. */
  readonly files: readonly Location[];
  /** Why a `.tar` among `files` could not be read as a layout: the likely reason when a blob is missing. */
  readonly unreadArchives: ReadonlyMap<string, Refusal>;
}

/**
 * Reads a bundle directory. Refuses with `special-file`, `path-outside-root`, `bundle-too-large`, `layout-malformed`, and what the layouts' documents or
 * archives are refused with. On success the caller closes `root`. `archive`, a file of our own, holds further members of the bundle.
 */
export async function scanDirectory(
  directory: string,
  limits = DEFAULT_SCAN_LIMITS,
  archive?: string,
): Promise<Result<Scan>> {
  return scanUnder(Root.open(directory, archive), limits, (scanner) => scanner.all());
}

/** Reads one file, an archive of a layout or a plain one, as if it lay alone in a bundle. Refuses as `scanDirectory`. */
export async function scanFile(path: string, limits = DEFAULT_SCAN_LIMITS): Promise<Result<Scan>> {
  return scanUnder(Root.open(dirname(path)), limits, (scanner) => scanner.only(basename(path)));
}

/** What is in these files of a root, known without looking. Refuses and is closed as `scanDirectory`. */
export async function scanListed(
  root: Result<Root>,
  files: readonly Location[],
  limits = DEFAULT_SCAN_LIMITS,
): Promise<Result<Scan>> {
  return scanUnder(root, limits, (scanner) => scanner.listed(files));
}

async function scanUnder(
  root: Result<Root>,
  limits: ScanLimits,
  scan: (scanner: Scanner) => Result<Scan>,
): Promise<Result<Scan>> {
  if (!root.ok) return root;
  let scanned: Result<Scan> | undefined;
  try {
    scanned = await guarded('Reading the bundle', () => scan(new Scanner(root.value, limits)));
    return scanned;
  } finally {
    if (scanned?.ok !== true) root.value.close();
  }
}

/** Lists what there is, then tells layouts from plain files. */
class Scanner {
  readonly #root: Root;
  readonly #limits: ScanLimits;
  #entries = 0;
  #bytes = 0;

  constructor(root: Root, limits: ScanLimits) {
    this.#root = root;
    this.#limits = limits;
  }

  all(): Result<Scan> {
    const files: Location[] = [];
    const walked = this.#walk('', 0, files);
    if (!walked.ok) return walked;
    const held = indexHeld(this.#root, this.#limits.entries - this.#entries);
    if (!held.ok) return held;
    return this.listed([...files, ...held.value.values()]);
  }

  only(name: string): Result<Scan> {
    const taken = this.#judge(name);
    if (!taken.ok) return taken;
    if (taken.value === undefined) return refuse('special-file', `${shown(name)} is a directory where a file was.`);
    return this.listed([taken.value]);
  }

  listed(files: readonly Location[]): Result<Scan> {
    return new Sorter(this.#root, this.#limits.entries - this.#entries).sort(files);
  }

  /** Adds the files of one directory, then those of the directories in it. */
  #walk(path: string, depth: number, files: Location[]): Result<void> {
    if (depth > this.#limits.depth) return tooLarge(`is nested more than ${this.#limits.depth} directories deep`);
    const names = this.#root.list(path, this.#limits.entries - this.#entries);
    if (!names.ok) return names;
    this.#entries += names.value.length;
    if (this.#entries > this.#limits.entries) return tooLarge(`has more than ${this.#limits.entries} entries`);
    const directories: string[] = [];
    for (const name of names.value) {
      const child = join(path, name);
      const file = this.#judge(child);
      if (!file.ok) return file;
      if (file.value === undefined) directories.push(child);
      else files.push(file.value);
    }
    for (const directory of directories) {
      const walked = this.#walk(directory, depth + 1, files);
      if (!walked.ok) return walked;
    }
    return ok(undefined);
  }

  /** The file at `path`, counted; undefined for a directory. */
  #judge(path: string): Result<Location | undefined> {
    const fault = pathFault(path);
    if (fault !== undefined) return refuse('path-outside-root', `The name ${shown(path)} ${fault}; rename it.`);
    const stat = this.#root.stat(path);
    if (!stat.ok) return stat;
    if (stat.value.type === 'directory') return ok(undefined);
    this.#bytes += stat.value.size;
    if (this.#bytes > this.#limits.bytes) return tooLarge(`has more than ${this.#limits.bytes} bytes`);
    return ok({ path, offset: 0, size: stat.value.size });
  }
}

interface FoundLayout {
  readonly path: string;
  readonly version: Location;
  index: Location | undefined;
  readonly blobs: Map<Digest, Location>;
}

/** Tells layouts, directories and archives, from plain files. */
class Sorter {
  readonly #root: Root;
  #entriesLeft: number;
  readonly #layouts: Layout[] = [];
  readonly #files: Location[] = [];
  readonly #unread = new Map<string, Refusal>();
  /** Directories with an `oci-layout`, by path. */
  readonly #found = new Map<string, FoundLayout>();
  /** By directory: the layout in whose `blobs` it lies, if it lies in one. */
  readonly #within = new Map<string, FoundLayout | undefined>();
  #release: Location | undefined;

  constructor(root: Root, entriesLeft: number) {
    this.#root = root;
    this.#entriesLeft = entriesLeft;
  }

  sort(files: readonly Location[]): Result<Scan> {
    for (const file of files) {
      if (nameOf(file.path) !== 'oci-layout') continue;
      const path = directoryOf(file.path);
      this.#found.set(path, { path, version: file, index: undefined, blobs: new Map() });
    }
    for (const file of files) {
      const taken = this.#take(file);
      if (!taken.ok) return taken;
    }
    for (const layout of this.#found.values()) {
      if (this.#layoutAround(layout.path) !== undefined) continue;
      const read = this.#documents(layout);
      if (!read.ok) return read;
    }
    return ok({
      root: this.#root,
      release: this.#release,
      layouts: this.#layouts,
      files: this.#files,
      unreadArchives: this.#unread,
    });
  }

  #take(file: Location): Result<void> {
    const { path } = file;
    const directory = directoryOf(path);
    const around = this.#layoutAround(directory);
    if (around !== undefined) {
      // Anything else below `blobs` is nobody's.
      const digest = blobName(around.path === '' ? path : path.slice(around.path.length + 1));
      if (digest !== undefined) around.blobs.set(digest, file);
      return ok(undefined);
    }
    const layout = this.#found.get(directory);
    if (layout !== undefined && nameOf(path) === 'index.json') layout.index = file;
    else if (layout?.version !== file) return this.#takeOwn(file);
    return ok(undefined);
  }

  /** A file that is no part of a layout's directory. */
  #takeOwn(file: Location): Result<void> {
    if (file.path === RELEASE_FILE) this.#release = file;
    else if (file.path.endsWith('.tar')) return this.#archive(file);
    else this.#files.push(file);
    return ok(undefined);
  }

  /** The layout in whose `blobs` a directory lies; a layout in there is none. */
  #layoutAround(directory: string): FoundLayout | undefined {
    if (directory === '' || this.#found.size === 0) return undefined;
    if (this.#within.has(directory)) return this.#within.get(directory);
    const parent = directoryOf(directory);
    const around = this.#layoutAround(parent) ?? (nameOf(directory) === 'blobs' ? this.#found.get(parent) : undefined);
    this.#within.set(directory, around);
    return around;
  }

  #documents({ path, version, index, blobs }: FoundLayout): Result<void> {
    if (index === undefined) return refuse('layout-malformed', `The OCI layout ${shown(path)} has no index.json.`);
    const read = parseOciLayout(readAll(this.#root.read(version), OCI_MANIFEST_BYTES));
    if (!read.ok) return within(path, read.error);
    const parsed = parseLayoutIndex(readAll(this.#root.read(index), OCI_MANIFEST_BYTES));
    if (!parsed.ok) return within(path, parsed.error);
    this.#layouts.push({ path, index: parsed.value, blobs });
    return ok(undefined);
  }

  #archive(file: Location): Result<void> {
    const archive = indexArchive(this.#root, file, this.#entriesLeft);
    if (!archive.ok) this.#unread.set(file.path, archive.error);
    const members = archive.ok ? archive.value : undefined;
    const version = members?.get('oci-layout');
    if (members === undefined || version === undefined) {
      this.#files.push(file);
      return ok(undefined);
    }
    this.#entriesLeft -= members.size;
    const blobs = new Map<Digest, Location>();
    for (const [name, location] of members) {
      const digest = blobName(name);
      if (digest !== undefined) blobs.set(digest, location);
    }
    return this.#documents({ path: file.path, version, index: members.get('index.json'), blobs });
  }
}

const tooLarge = (why: string): Result<never> =>
  refuse('bundle-too-large', `The bundle ${why}; make smaller bundles, or raise the limit.`);

const directoryOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

export const join = (directory: string, name: string): string => (directory === '' ? name : `${directory}/${name}`);

/** A path in the sentence of a refusal. */
export const shown = (path: string): string => JSON.stringify(path === '' ? '.' : path.slice(0, TAR_NAME_BYTES));

const within = (path: string, { code, detail }: Refusal): ReturnType<typeof refuse> =>
  refuse(code, `In the OCI layout ${shown(path)}: ${detail}`);

/** The digest that a path within a layout claims. */
function blobName(path: string): Digest | undefined {
  const digest = `sha256:${/^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1] ?? ''}`;
  return isDigest(digest) ? digest : undefined;
}
