// The JavaScript that the fuzzer instruments: a target and all of our files that it reaches, their types stripped, in a
// tree of the same shape. Third-party packages stay where they are.
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { TOP } from './corpus.ts';

const IMPORT = /(\bfrom\s*|\bimport\s*\(?\s*)'([^']+)'/g;

/** The file that an import of ours names; undefined for Node's modules and third-party packages. */
function fileOf(specifier: string, importer: string): string | undefined {
  if (specifier.startsWith('.')) return join(dirname(importer), specifier);
  const name = /^@sluice\/([a-z]+)$/.exec(specifier)?.[1];
  if (name === undefined) return undefined;
  const { exports } = JSON.parse(readFileSync(join(TOP, 'packages', name, 'package.json'), 'utf8')) as {
    readonly exports: Readonly<Record<string, string>>;
  };
  return join(TOP, 'packages', name, exports['.'] ?? '');
}

/** Where a file of ours lands. */
const placeOf = (file: string, into: string): string => join(into, relative(TOP, file).replace(/\.ts$/, '.js'));

/** Lets files below `packages/NAME` or `test` find their third-party packages. */
function linkModules(file: string, into: string): void {
  const [top = '', name = ''] = relative(TOP, file).split('/');
  const home = top === 'packages' ? join(top, name) : top;
  const link = join(into, home, 'node_modules');
  const modules = join(TOP, home, 'node_modules');
  if (existsSync(link) || !existsSync(modules)) return;
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(modules, link);
}

/** Builds what target `name` needs into an empty directory; the path of the module that exports `fuzz`. */
export function buildTarget(name: string, into: string): string {
  rmSync(into, { recursive: true, force: true });
  const waiting = [join(TOP, 'test/fuzz/targets', `${name}.ts`), join(TOP, 'test/fuzz/target.ts')];
  const built = new Set<string>();
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (built.has(file)) continue;
    built.add(file);
    linkModules(file, into);
    const place = placeOf(file, into);
    const code = stripTypeScriptTypes(readFileSync(file, 'utf8')).replace(IMPORT, (all, before, specifier) => {
      const target = fileOf(String(specifier), file);
      if (target === undefined) return all;
      waiting.push(target);
      const path = relative(dirname(place), placeOf(target, into));
      return `${String(before)}'${path.startsWith('.') ? path : `./${path}`}'`;
    });
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, code);
  }
  writeFileSync(join(into, 'package.json'), '{"type":"module"}\n');
  const entry = join(into, 'entry.js');
  writeFileSync(
    entry,
    `import { run } from './test/fuzz/target.js';\nimport { target } from './test/fuzz/targets/${name}.js';\n` +
      'export const fuzz = (data) => run(target, data);\n',
  );
  return entry;
}
