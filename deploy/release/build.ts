import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, sign } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { buildDeb } from './deb.ts';
import { place, readModules } from './modules.ts';
import { sbom } from './sbom.ts';
import { foreignDaemons, type Side } from './sides.ts';
import { settle, writeTree } from './tree.ts';

export interface ReleaseOptions {
  /** The repository, with its modules installed. */
  readonly root: string;
  readonly out: string;
  readonly version: string;
  /** Time of every file, in seconds since 1970. */
  readonly epoch: number;
  readonly sides: readonly Side[];
  /** Private Ed25519 key, PEM; without it there is no signature. */
  readonly keyFile?: string;
  /** No tarballs. */
  readonly packagesOnly?: boolean;
}

/** Half the time of the usual level for 3 % more bytes. */
const GZIP_LEVEL = 4;
const SUMS = 'SHA512SUMS';
const EXECUTABLE = /^usr\/(bin\/sluice|lib\/sluice\/(bin\/node|mute\.sh))$/;

/** Builds everything into `out`; gives the names of the files there. The same repository gives the same bytes. */
export async function buildRelease(options: ReleaseOptions): Promise<string[]> {
  mkdirSync(options.out, { recursive: true });
  const made: string[] = [];
  for (const side of options.sides) made.push(...(await buildSide(side, options)));
  const lines = await Promise.all(
    made.sort().map(async (name) => `${await sha512(join(options.out, name))}  ${name}\n`),
  );
  writeFileSync(join(options.out, SUMS), lines.join(''));
  if (options.keyFile === undefined) return [...made, SUMS];
  const key = createPrivateKey(readFileSync(options.keyFile));
  if (key.asymmetricKeyType !== 'ed25519')
    throw new Error(`${options.keyFile} is no Ed25519 key; make one: sluice keys generate`);
  // Its bytes follow from key and content alone.
  writeFileSync(join(options.out, `${SUMS}.sig`), sign(null, Buffer.from(lines.join('')), key));
  return [...made, SUMS, `${SUMS}.sig`];
}

async function buildSide(side: Side, options: ReleaseOptions): Promise<string[]> {
  const { root, out, version, epoch, packagesOnly = false } = options;
  const packages = join(root, 'packages');
  const modules = place(readModules(join(packages, 'cli'), packages, foreignDaemons(side)));
  const bill = sbom({ root, side, version, epoch, modules: modules.map(({ module }) => module) });
  const names = {
    bill: `sluice-${side}-${version}.cdx.json`,
    deb: `sluice-${side}_${version}_amd64.deb`,
    tar: `sluice-${side}-${version}-linux-x64.tar.gz`,
  };
  const work = mkdtempSync(join(tmpdir(), 'sluice-release-'));
  try {
    const tree = join(work, `sluice-${side}`);
    writeTree(tree, { root, side, version, modules });
    writeFileSync(join(tree, `usr/share/doc/sluice-${side}/sbom.cdx.json`), bill);
    writeFileSync(join(out, names.bill), bill);
    settle(tree, epoch, (path) => EXECUTABLE.test(path));
    if (!packagesOnly) await buildTar(tree, join(out, names.tar), epoch);
    buildDeb(tree, join(out, names.deb), { root, side, version, epoch });
  } finally {
    rmSync(work, { recursive: true });
  }
  return [names.bill, names.deb, ...(packagesOnly ? [] : [names.tar])];
}

/** The same tree without a package manager: unpack it at the root, or anywhere to try it. */
async function buildTar(tree: string, file: string, epoch: number): Promise<void> {
  const words = [
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--format=gnu',
    `--mtime=@${String(epoch)}`,
  ];
  const tar = spawn('tar', [...words, '-C', tree, '-c', ...readdirSync(tree).sort()], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(tar, 'exit');
  await pipeline(tar.stdout, createGzip({ level: GZIP_LEVEL }), createWriteStream(file));
  const [status] = (await ended) as [number | null];
  if (status !== 0) throw new Error(`tar ended with ${String(status)}`);
}

async function sha512(file: string): Promise<string> {
  const hash = createHash('sha512');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** Time of the commit that is checked out: a release of it is the same whenever it is built. */
export function commitTime(root: string): number {
  return Number(execFileSync('git', ['-C', root, 'log', '-1', '--format=%ct'], { encoding: 'utf8' }).trim());
}
