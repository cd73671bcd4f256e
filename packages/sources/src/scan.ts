import { basename, dirname } from 'node:path';
import { isDigest, ok, refuse } from '@sluice/ports';
import type { Digest, Refusal, Result } from '@sluice/ports';
import { OCI_MANIFEST_BYTES, parseLayoutIndex, parseOciLayout, pathFault, TAR_NAME_BYTES } from '@sluice/bundle';
import type { ImageIndex } from '@sluice/bundle';
import { indexArchive } from './archive.ts';
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
 * archives are refused with. On success the caller closes `root`.
 */
export async function scanDirectory(directory: string, limits = DEFAULT_SCAN_LIMITS): Promise<Result<Scan>> {
  return scanUnder(directory, limits, (scanner) => scanner.all());
}

/** Reads one file, an archive of a layout or a plain one, as if it lay alone in a bundle. Refuses as `scanDirectory`. */
export async function scanFile(path: string, limits = DEFAULT_SCAN_LIMITS): Promise<Result<Scan>> {
  return scanUnder(dirname(path), limits, (scanner) => scanner.only(basename(path)));
}

async function scanUnder(
  directory: string,
  limits: ScanLimits,
  scan: (scanner: Scanner) => Promise<Result<Scan>>,
): Promise<Result<Scan>> {
  const root = await Root.open(directory);
  if (!root.ok) return root;
  let scanned: Result<Scan> | undefined;
  try {
    scanned = await guarded(`Reading ${shown(directory)}`, () => scan(new Scanner(root.value, limits)));
    return scanned;
  } finally {
    if (scanned?.ok !== true) await root.value.close();
  }
}

class Scanner {
  readonly #root: Root;
  readonly #limits: ScanLimits;
  #entries = 0;
  #bytes = 0;
  #release: Location | undefined;
  readonly #layouts: Layout[] = [];
  readonly #files: Location[] = [];
  readonly #unread = new Map<string, Refusal>();

  constructor(root: Root, limits: ScanLimits) {
    this.#root = root;
    this.#limits = limits;
  }

  async all(): Promise<Result<Scan>> {
    const walked = await this.#walk('', 0);
    return walked.ok ? ok(this.#found()) : walked;
  }

  async only(name: string): Promise<Result<Scan>> {
    const taken = await this.#judge(name);
    if (!taken.ok) return taken;
    if (taken.value === undefined) return refuse('special-file', `${shown(name)} is a directory where a file was.`);
    const read = await this.#file(taken.value);
    return read.ok ? ok(this.#found()) : read;
  }

  #found(): Scan {
    return {
      root: this.#root,
      release: this.#release,
      layouts: this.#layouts,
      files: this.#files,
      unreadArchives: this.#unread,
    };
  }

  /** Takes in one directory and all below it, as a layout when it has an `oci-layout`. */
  async #walk(path: string, depth: number): Promise<Result<void>> {
    if (depth > this.#limits.depth) return this.#tooDeep();
    const listed = await this.#filesBelow(path);
    if (!listed.ok) return listed;
    const { files, directories } = listed.value;
    const layout = files.find(({ path: file }) => file === join(path, 'oci-layout'));
    let rest = files;
    if (layout !== undefined) {
      const hasBlobs = directories.includes(join(path, 'blobs'));
      const taken = await this.#layoutDirectory(path, layout, files, hasBlobs ? depth + 1 : undefined);
      if (!taken.ok) return taken;
      rest = taken.value;
    }
    for (const file of rest) {
      const taken = await this.#file(file);
      if (!taken.ok) return taken;
    }
    for (const directory of directories) {
      if (layout !== undefined && directory === join(path, 'blobs')) continue;
      const walked = await this.#walk(directory, depth + 1);
      if (!walked.ok) return walked;
    }
    return ok(undefined);
  }

  /** Lists one directory, judging each entry. */
  async #filesBelow(path: string): Promise<Result<{ files: Location[]; directories: string[] }>> {
    const names = await this.#root.list(path, this.#limits.entries - this.#entries);
    if (!names.ok) return names;
    this.#entries += names.value.length;
    if (this.#entries > this.#limits.entries) return this.#tooLarge(`has more than ${this.#limits.entries} entries`);
    const files: Location[] = [];
    const directories: string[] = [];
    for (const name of names.value) {
      const child = join(path, name);
      const file = await this.#judge(child);
      if (!file.ok) return file;
      if (file.value === undefined) directories.push(child);
      else files.push(file.value);
    }
    return ok({ files, directories });
  }

  /** The file at `path`, counted; undefined for a directory. */
  async #judge(path: string): Promise<Result<Location | undefined>> {
    const fault = pathFault(path);
    if (fault !== undefined) return refuse('path-outside-root', `The name ${shown(path)} ${fault}; rename it.`);
    const stat = await this.#root.stat(path);
    if (!stat.ok) return stat;
    if (stat.value.type === 'directory') return ok(undefined);
    this.#bytes += stat.value.size;
    if (this.#bytes > this.#limits.bytes) return this.#tooLarge(`has more than ${this.#limits.bytes} bytes`);
    return ok({ path, offset: 0, size: stat.value.size });
  }

  /** Takes in a layout's documents and blobs (at `depth`, undefined when it has none); gives back the files of its top that are no part of it. */
  async #layoutDirectory(
    path: string,
    layout: Location,
    files: Location[],
    depth: number | undefined,
  ): Promise<Result<Location[]>> {
    const index = files.find(({ path: file }) => file === join(path, 'index.json'));
    const blobs = new Map<Digest, Location>();
    if (depth !== undefined) {
      const below = await this.#blobsBelow(path, join(path, 'blobs'), blobs, depth);
      if (!below.ok) return below;
    }
    const documents = await this.#documents(path, layout, index, blobs);
    if (!documents.ok) return documents;
    return ok(files.filter((file) => file !== layout && file !== index));
  }

  /** Takes in `blobs/sha256/HEX` of the layout `base`; anything else below `blobs` is only judged and counted. */
  async #blobsBelow(base: string, path: string, blobs: Map<Digest, Location>, depth: number): Promise<Result<void>> {
    if (depth > this.#limits.depth) return this.#tooDeep();
    const listed = await this.#filesBelow(path);
    if (!listed.ok) return listed;
    for (const file of listed.value.files) {
      const digest = blobName(base === '' ? file.path : file.path.slice(base.length + 1));
      if (digest !== undefined) blobs.set(digest, file);
    }
    for (const directory of listed.value.directories) {
      const below = await this.#blobsBelow(base, directory, blobs, depth + 1);
      if (!below.ok) return below;
    }
    return ok(undefined);
  }

  async #documents(
    path: string,
    layout: Location,
    index: Location | undefined,
    blobs: ReadonlyMap<Digest, Location>,
  ): Promise<Result<void>> {
    if (index === undefined) return refuse('layout-malformed', `The OCI layout ${shown(path)} has no index.json.`);
    const version = parseOciLayout(await readAll(this.#root.read(layout), OCI_MANIFEST_BYTES));
    if (!version.ok) return within(path, version.error);
    const parsed = parseLayoutIndex(await readAll(this.#root.read(index), OCI_MANIFEST_BYTES));
    if (!parsed.ok) return within(path, parsed.error);
    this.#layouts.push({ path, index: parsed.value, blobs });
    return ok(undefined);
  }

  async #file(file: Location): Promise<Result<void>> {
    if (file.path === RELEASE_FILE) {
      this.#release = file;
      return ok(undefined);
    }
    if (!file.path.endsWith('.tar')) {
      this.#files.push(file);
      return ok(undefined);
    }
    const archive = await indexArchive(this.#root, file, this.#limits.entries - this.#entries);
    if (!archive.ok) this.#unread.set(file.path, archive.error);
    const members = archive.ok ? archive.value : undefined;
    const layout = members?.get('oci-layout');
    if (members === undefined || layout === undefined) {
      this.#files.push(file);
      return ok(undefined);
    }
    this.#entries += members.size;
    const blobs = new Map<Digest, Location>();
    for (const [name, location] of members) {
      const digest = blobName(name);
      if (digest !== undefined) blobs.set(digest, location);
    }
    return this.#documents(file.path, layout, members.get('index.json'), blobs);
  }

  #tooDeep(): Result<never> {
    return this.#tooLarge(`is nested more than ${this.#limits.depth} directories deep`);
  }

  #tooLarge(why: string): Result<never> {
    return refuse('bundle-too-large', `The bundle ${why}; make smaller bundles, or raise the limit.`);
  }
}

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
