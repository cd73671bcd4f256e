import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A package that a release carries, as it lies in node_modules. */
export interface Module {
  readonly name: string;
  readonly version: string;
  /** Its real directory. */
  readonly directory: string;
  /** Of this workspace: its TypeScript is turned into JavaScript. */
  readonly own: boolean;
  readonly license: string | undefined;
  /** What it loads by name. */
  readonly dependencies: ReadonlyMap<string, Module>;
}

/** A module and where it goes, below a `node_modules`. */
export interface Placed {
  readonly module: Module;
  /** Such as `node_modules/fastify` or `node_modules/a/node_modules/b`. */
  readonly path: string;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: unknown;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export const readManifest = (directory: string): Manifest =>
  JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest;

/** The directory that `name` means to a module in `from`, by Node's own rule; undefined when there is none. */
function resolveModule(from: string, name: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    const found = join(at, 'node_modules', name);
    if (existsSync(join(found, 'package.json'))) return realpathSync(found);
    if (at === dirname(at)) return undefined;
  }
}

/** The workspace package in `directory` with everything that it loads in production, but for the packages named in `without`. */
export function readModules(directory: string, workspace: string, without: readonly string[]): Module {
  const known = new Map<string, Module>();
  const read = (at: string): Module => {
    const seen = known.get(at);
    if (seen !== undefined) return seen;
    const manifest = readManifest(at);
    const dependencies = new Map<string, Module>();
    const own = dirname(at) === workspace;
    const license = typeof manifest.license === 'string' ? manifest.license : undefined;
    const module = { name: manifest.name, version: manifest.version, directory: at, own, license, dependencies };
    known.set(at, module);
    // Optional ones and peers count where they are there: other platforms' binaries are not.
    const { dependencies: needed = {}, optionalDependencies = {}, peerDependencies = {} } = manifest;
    const names = new Set([needed, optionalDependencies, peerDependencies].flatMap((each) => Object.keys(each)));
    for (const name of [...names].sort()) {
      if (without.includes(name)) continue;
      const found = resolveModule(at, name);
      if (found !== undefined) dependencies.set(name, read(found));
      else if (name in needed && !(name in optionalDependencies))
        throw new Error(`${manifest.name} lacks ${name}; install first`);
    }
    return module;
  };
  return read(realpathSync(directory));
}

/** Where each module goes: to the top, or where another version is there, beside the one that needs it. */
export function place(root: Module): Placed[] {
  const at = new Map<string, Module>();
  const put = (module: Module, path: string): void => {
    at.set(path, module);
    const fresh: [Module, string][] = [];
    for (const [name, wanted] of module.dependencies) {
      const found = nearest(path, name);
      if (found === wanted) continue;
      const free = found === undefined ? `node_modules/${name}` : `${path}/node_modules/${name}`;
      at.set(free, wanted);
      fresh.push([wanted, free]);
    }
    // All of its own first: what is put beside a module is found by what it loads, too.
    for (const [wanted, free] of fresh) put(wanted, free);
  };
  const nearest = (path: string, name: string): Module | undefined => {
    for (
      let level = `${path}/`;
      level !== '';
      level = level.slice(0, Math.max(0, level.lastIndexOf('node_modules/')))
    ) {
      const found = at.get(`${level}node_modules/${name}`);
      if (found !== undefined) return found;
    }
    return at.get(`node_modules/${name}`);
  };
  put(root, `node_modules/${root.name}`);
  return [...at].map(([path, module]) => ({ path, module })).sort((a, b) => (a.path < b.path ? -1 : 1));
}
