// The direction of imports, which the compiler alone does not hold: `node test/ranks.ts` names every import that goes the wrong way.
import { readdirSync, readFileSync, existsSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

/** A package of the workspace. */
interface Package {
  readonly name: string;
  readonly directory: string;
  /** 0 to 5; undefined for what only tests import. */
  readonly rank: number | undefined;
  readonly dependencies: Readonly<Record<string, string>>;
}

const SCOPE = '@sluice/';
const PURE_RANK_MAX = 1;
const ADAPTER_RANK = 2;
const DAEMON_RANK = 4;
/** The only imports between packages of one rank: rank to what may be imported there. */
const SAME_RANK: Readonly<Record<number, readonly string[]>> = {
  0: ['@sluice/ports', '@sluice/wasm'],
  [ADAPTER_RANK]: ['@sluice/trust'],
  3: ['@sluice/base'],
};
/** The wire-facing process, and all the third-party code it may load. */
const MINIMAL = '@sluice/link';
const MINIMAL_THIRD_PARTY = ['koffi'];
const BUILTIN = new Set(builtinModules);

/** A sentence for each import or declared dependency that breaks the ranks; none when all is well. */
export function rankFaults(root: string): string[] {
  const packages = new Map(readPackages(root).map((each) => [each.name, each]));
  const faults = [...packages.values()].flatMap((each) => [
    ...(each.rank === undefined ? [] : declaredFaults(each, packages)),
    ...sourceFaults(each, packages, root),
  ]);
  return [...faults, ...closureFaults(packages)];
}

function readPackages(root: string): Package[] {
  const top = join(root, 'packages');
  const { devDependencies: tools = {} } = readManifest(root);
  return readdirSync(top)
    .map((name) => join(top, name))
    .filter((directory) => existsSync(join(directory, 'package.json')))
    .map((directory) => {
      const manifest = readManifest(directory);
      if (typeof manifest.rank !== 'number' && manifest.rank !== 'aside') {
        throw new Error(
          `${relative(root, directory)}/package.json has no "rank"; give it a number from 0 to 5 or "aside".`,
        );
      }
      const rank = manifest.rank === 'aside' ? undefined : manifest.rank;
      // What only tests import may use the tools of the tests.
      const dependencies = { ...(rank === undefined ? tools : {}), ...manifest.dependencies };
      return { name: manifest.name, directory, rank, dependencies };
    });
}

interface Manifest {
  readonly name: string;
  readonly rank?: unknown;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const readManifest = (directory: string): Manifest =>
  JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest;

/** What package.json itself gets wrong. */
function declaredFaults(from: Package, packages: ReadonlyMap<string, Package>): string[] {
  return Object.entries(from.dependencies).flatMap(([name, version]) => {
    if (!name.startsWith(SCOPE)) {
      return /^\d/.test(version) ? [] : [`${from.name} declares ${name} as "${version}"; write the exact version.`];
    }
    const to = packages.get(name);
    const fault = to === undefined ? `${name}, which is no package here` : directionFault(from, to);
    return fault === undefined ? [] : [`${from.name} declares ${fault}.`];
  });
}

/** Why `from` may not depend on `to`, undefined when it may. */
function directionFault(from: Package, to: Package): string | undefined {
  if (from.rank === undefined) return undefined;
  if (to.rank === undefined) return `${to.name}, which only tests may import`;
  if (to.rank < from.rank || (to.rank === from.rank && SAME_RANK[to.rank]?.includes(to.name) === true))
    return undefined;
  if (to.rank === DAEMON_RANK && from.rank === DAEMON_RANK) return `${to.name}: daemons never import each other`;
  if (to.rank === ADAPTER_RANK && from.rank === ADAPTER_RANK) return `${to.name}: adapters never import each other`;
  return `${to.name} of rank ${to.rank}, but rank ${from.rank} imports only lower ranks`;
}

function sourceFaults(from: Package, packages: ReadonlyMap<string, Package>, root: string): string[] {
  const top = join(from.directory, 'src');
  if (!existsSync(top)) return [];
  const files = readdirSync(top, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return files.flatMap((file) => {
    const path = join(top, file);
    return importsOf(path).flatMap((specifier) => {
      const fault = importFault(from, specifier, path, packages);
      return fault === undefined ? [] : [`${relative(root, path)} imports ${fault}.`];
    });
  });
}

/** Every module a file names: static, re-exported, type-only and dynamic. */
const importsOf = (path: string): string[] =>
  ts.preProcessFile(readFileSync(path, 'utf8'), true, true).importedFiles.map(({ fileName }) => fileName);

function importFault(
  from: Package,
  specifier: string,
  path: string,
  packages: ReadonlyMap<string, Package>,
): string | undefined {
  if (specifier.startsWith('.')) {
    const inside = resolve(dirname(path), specifier).startsWith(`${from.directory}/src/`);
    return inside ? undefined : `${specifier}, which is outside its package's src; import the package by name`;
  }
  if (specifier.startsWith('node:')) {
    const pure = from.rank !== undefined && from.rank <= PURE_RANK_MAX;
    return pure ? `${specifier}, but ranks 0 and 1 do no I/O: have it handed in` : undefined;
  }
  if (BUILTIN.has(specifier)) return `${specifier}; write node:${specifier}`;
  const parts = specifier.split('/');
  const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : specifier.split('/')[0];
  if (name === undefined || !Object.hasOwn(from.dependencies, name)) {
    return `${specifier}, which its package.json does not declare under "dependencies"`;
  }
  const to = packages.get(name);
  if (to === undefined) return undefined;
  return specifier === name ? directionFault(from, to) : `${specifier}; only the package's entry ${name} is public`;
}

/** Third-party code that the wire-facing process would load. */
function closureFaults(packages: ReadonlyMap<string, Package>): string[] {
  const seen = new Set<string>();
  const faults: string[] = [];
  const visit = (name: string, way: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const dependency of Object.keys(packages.get(name)?.dependencies ?? {})) {
      if (packages.has(dependency)) visit(dependency, `${way} -> ${dependency}`);
      else if (!MINIMAL_THIRD_PARTY.includes(dependency)) {
        faults.push(`${MINIMAL} would load ${dependency} (by ${way}), but may load no third-party code except koffi.`);
      }
    }
  };
  visit(MINIMAL, MINIMAL);
  return faults;
}

if (import.meta.main) {
  const faults = rankFaults(join(import.meta.dirname, '..'));
  for (const fault of faults) console.log(fault);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
