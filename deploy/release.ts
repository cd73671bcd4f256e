// `pnpm release [--out DIR] [--side sender|receiver] [--version VERSION] [--key FILE]`: packages, tarballs, bills of materials, sums.
// The same commit gives the same bytes. Nothing is fetched: what goes in is what the lockfile installed.
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildRelease, commitTime } from './release/build.ts';
import { readManifest } from './release/modules.ts';
import { type Side, SIDES } from './release/sides.ts';

const root = join(import.meta.dirname, '..');
// pnpm runs us at the top of the repository, and says where it was called.
const here = process.env.INIT_CWD ?? process.cwd();
const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg, index) => index > 0 || arg !== '--'),
  options: {
    out: { type: 'string', default: join(root, 'dist') },
    side: { type: 'string', multiple: true, default: Object.keys(SIDES) },
    version: { type: 'string', default: readManifest(root).version },
    key: { type: 'string' },
  },
});
const sides = values.side.map((name): Side => {
  if (name === 'sender' || name === 'receiver') return name;
  throw new Error(`--side is sender or receiver, not "${name}"`);
});
if (!/^\d[A-Za-z0-9.+~]*$/.test(values.version))
  throw new Error(`"${values.version}" is no version: digits, letters, . + ~`);
const { SOURCE_DATE_EPOCH: given } = process.env;
const epoch = given === undefined ? commitTime(root) : Number(given);
if (!Number.isSafeInteger(epoch))
  throw new Error(`SOURCE_DATE_EPOCH is "${given ?? ''}"; it must be a number of seconds`);
const out = resolve(here, values.out);
const keyFile = values.key === undefined ? {} : { keyFile: resolve(here, values.key) };
for (const name of await buildRelease({ root, out, version: values.version, epoch, sides, ...keyFile }))
  console.log(join(out, name));
if (values.key === undefined) console.error('release: not signed; --key FILE names the private Ed25519 key');
