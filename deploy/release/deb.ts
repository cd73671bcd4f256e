import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, lutimesSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Side, SIDES } from './sides.ts';

const SCRIPTS = ['postinst', 'prerm', 'postrm'] as const;
/** What a minimal root with systemd has. Node needs the first three; our units need this systemd. */
const DEPENDS = ['libc6 (>= 2.28)', 'libstdc++6', 'libgcc-s1', 'systemd (>= 252)'];

export interface DebOptions {
  readonly root: string;
  readonly side: Side;
  readonly version: string;
  readonly epoch: number;
}

/** Every file below a directory, as paths from there, in one order. */
export function filesBelow(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

/** Makes the package out of a settled tree; the control files are put into it. */
export function buildDeb(tree: string, deb: string, { root, side, version, epoch }: DebOptions): void {
  const files = filesBelow(tree);
  const parts = SIDES[side];
  const other = side === 'sender' ? 'receiver' : 'sender';
  const kib = files.reduce((sum, file) => sum + Math.ceil(statSync(join(tree, file)).size / 1024), 0);
  const control = join(tree, 'DEBIAN');
  mkdirSync(control);
  const fields = {
    Package: `sluice-${side}`,
    Version: version,
    Architecture: 'amd64',
    Maintainer: 'Sluice <sluice@localhost>',
    Section: 'net',
    Priority: 'optional',
    Depends: DEPENDS.join(', '),
    Recommends: parts.recommends.join(', '),
    Conflicts: `sluice-${other}`,
    'Installed-Size': String(kib),
    Description: `${parts.summary}\n With its Node runtime, its modules and its units; it needs no network to be installed.`,
  };
  const texts = new Map<string, string>();
  texts.set(
    'control',
    Object.entries(fields)
      .map(([name, value]) => `${name}: ${value}\n`)
      .join(''),
  );
  texts.set('md5sums', files.map((file) => `${md5(join(tree, file))}  ${file}\n`).join(''));
  for (const name of SCRIPTS) texts.set(name, script(root, name, side));
  for (const [name, text] of texts) {
    writeFileSync(join(control, name), text);
    chmodSync(join(control, name), SCRIPTS.some((each) => each === name) ? 0o755 : 0o644);
    lutimesSync(join(control, name), epoch, epoch);
  }
  chmodSync(control, 0o755);
  lutimesSync(control, epoch, epoch);
  lutimesSync(tree, epoch, epoch);
  // One thread: how the work is shared out would show in the bytes.
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zzstd', '-z6', '--threads-max=1', '--build', tree, deb], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

const md5 = (file: string): string => createHash('md5').update(readFileSync(file)).digest('hex');

/** Groups that a fragment of sysusers.d makes: those of its users, too. */
const groupsOf = (fragment: string): string[] => [...fragment.matchAll(/^[gu] (\S+)/gm)].map(([, name]) => name ?? '');

function script(root: string, name: string, side: Side): string {
  const { place, enabled, units, users } = SIDES[side];
  const groups = groupsOf(readFileSync(join(root, `deploy/sysusers.d/sluice-${place}.conf`), 'utf8'));
  const services = units.filter((unit) => unit.endsWith('.service') && !unit.includes('@'));
  const sockets = units.filter((unit) => unit.endsWith('.socket'));
  const instances = units.filter((unit) => unit.includes('@')).map((unit) => `'${unit.replace('@', '@*')}'`);
  const workers = instances.filter((unit) => !unit.includes('mute'));
  const values: Readonly<Record<string, string>> = {
    PLACE: place,
    ENABLED: enabled.join(' '),
    SERVICES: [...services, ...workers].join(' '),
    STOP: [...sockets, ...instances, ...[...services].reverse()].join(' '),
    USERS: users.join(' '),
    GROUPS: groups.join(' '),
  };
  const text = readFileSync(join(root, 'deploy/debian', name), 'utf8');
  return text.replace(/@([A-Z]+)@/g, (_, key: string) => {
    const value = values[key];
    if (value === undefined) throw new Error(`deploy/debian/${name} wants ${key}, which nobody knows`);
    return value;
  });
}
