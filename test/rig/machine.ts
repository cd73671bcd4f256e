import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { missing } from '../harbor/needs.ts';
import { Program, until } from '../world/processes.ts';
import { rootMissing } from './diode.ts';

const run = promisify(execFile);
const BOOT_MS = 60_000;
const POWEROFF_MS = 30_000;
/** What every root has, besides Debian's minimum: a systemd that boots. */
const SYSTEMD = ['systemd', 'systemd-sysv', 'dbus'];

/** Why no Debian can be booted here, undefined when one can. In CI that is an error. */
export function machineMissing(): string | undefined {
  const absent = missing('mmdebstrap', 'systemd-nspawn', 'nsenter', 'unshare', 'dpkg-deb');
  return absent === undefined ? rootMissing() : `${absent} is not installed`;
}

/** A Debian root with these packages, made once from Debian's mirror and kept outside the checkout. Nothing writes into it. */
export async function debianRoot(packages: readonly string[]): Promise<string> {
  const release = /^VERSION_CODENAME=(.+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'bookworm';
  const wanted = [...SYSTEMD, ...packages].join(',');
  const name = `${release}-${createHash('sha256').update(wanted).digest('hex').slice(0, 12)}`;
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sluice-test/roots');
  const root = join(cache, name);
  if (existsSync(root)) return root;
  mkdirSync(cache, { recursive: true });
  const partial = `${root}.${String(process.pid)}`;
  try {
    await run('mmdebstrap', ['--quiet', '--variant=minbase', `--include=${wanted}`, release, partial], {
      maxBuffer: 2 ** 26,
    });
    // Another run may have been faster: theirs is as good.
    if (!existsSync(root)) renameSync(partial, root);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return root;
}

const standing = new Set<Machine>();
// Whatever way this process ends, nothing stays mounted or runs on.
process.once('exit', () => {
  for (const machine of standing) machine.destroy();
});

/** A Debian of its own over a root that stays as it is: a host of the pair. */
export class Machine {
  readonly name: string;
  /** Where its files are seen from here. */
  readonly root: string;
  readonly #directory: string;
  readonly #groups: readonly string[];
  #nspawn: Program | undefined;
  #init: number | undefined;

  private constructor(name: string, directory: string) {
    this.name = name;
    this.#directory = directory;
    this.root = join(directory, 'root');
    this.#groups = cgroupTrees().map((tree) => join(tree, `sluice-${name}-${String(process.pid)}`));
  }

  /** `directory` holds what is written; it must not exist. */
  static create(name: string, lower: string, directory: string): Machine {
    const machine = new Machine(name, directory);
    for (const part of ['root', 'upper', 'work']) mkdirSync(join(directory, part), { recursive: true });
    const layers = `lowerdir=${lower},upperdir=${join(directory, 'upper')},workdir=${join(directory, 'work')}`;
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, machine.root]);
    standing.add(machine);
    return machine;
  }

  /** Runs a program in it before it is booted, with no network at all. */
  async alone(...argv: string[]): Promise<string> {
    const options = ['--quiet', '--register=no', '--keep-unit', '--private-network', '--console=pipe'];
    return (await run('systemd-nspawn', [...options, '-D', this.root, ...argv], { maxBuffer: 2 ** 26 })).stdout;
  }

  /** Boots its systemd within a network namespace, and waits until it has started what it starts. */
  async boot(namespace: string): Promise<void> {
    const options = [
      '--quiet',
      '--register=no',
      '--keep-unit',
      '--boot',
      '--console=pipe',
      '--capability=CAP_NET_ADMIN',
    ];
    const place = [`--network-namespace-path=/run/netns/${namespace}`, `--hostname=${this.name}`, '-D', this.root];
    // Two machines would share the groups that systemd-nspawn makes for them within its own.
    for (const group of this.#groups) mkdirSync(group, { recursive: true });
    const enter = this.#groups.map((group) => `echo $$ >${group}/cgroup.procs`).join(' && ');
    const within = ['sh', '-c', `${enter} && exec "$@"`, 'sh'];
    const words = [...within, 'systemd-nspawn', ...options, ...place];
    const nspawn = new Program(this.name, words, join(this.#directory, 'console.log'));
    this.#nspawn = nspawn;
    this.#init = await until(`${this.name} to boot`, BOOT_MS, () => {
      if (nspawn.ended) throw new Error(`systemd-nspawn ended:\n${nspawn.output()}`);
      return initOf(nspawn.pid);
    });
    await until(`${this.name} to be up`, BOOT_MS, async () => {
      const state = await this.try('systemctl', 'is-system-running');
      return ['running', 'degraded'].includes(state.trim()) || undefined;
    });
  }

  /** Words that run a program in the booted machine. */
  on(argv: readonly string[]): string[] {
    if (this.#init === undefined) throw new Error(`${this.name} is not booted`);
    const clean = [
      'env',
      '-i',
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      'LC_ALL=C.UTF-8',
      'DEBIAN_FRONTEND=noninteractive',
    ];
    return ['nsenter', '-t', String(this.#init), '-a', ...clean, ...argv];
  }

  /** Runs a program in the booted machine; its standard output. */
  async run(...argv: string[]): Promise<string> {
    const [file = '', ...args] = this.on(argv);
    return (await run(file, args, { maxBuffer: 2 ** 26 })).stdout;
  }

  /** The same for one that may fail: what it printed all the same. */
  async try(...argv: string[]): Promise<string> {
    try {
      return await this.run(...argv);
    } catch (error) {
      if (error instanceof Error && 'stdout' in error) return String(error.stdout);
      throw error;
    }
  }

  /** A property of a unit. */
  async property(unit: string, name: string): Promise<string> {
    return (await this.run('systemctl', 'show', '--value', '-p', name, unit)).trim();
  }

  /** Process of a service, as this side of the wall numbers it. */
  async pid(unit: string): Promise<number> {
    const inside = await this.property(unit, 'MainPID');
    const all = execFileSync('pgrep', ['--ns', String(this.#init), '--nslist', 'pid', '.'], { encoding: 'utf8' });
    const found = all.split('\n').find((pid) => pid !== '' && inner(pid) === inside);
    if (found === undefined || inside === '0') throw new Error(`${unit} of ${this.name} does not run`);
    return Number(found);
  }

  async poweroff(): Promise<void> {
    if (this.#nspawn === undefined || this.#nspawn.ended) return;
    await this.try('systemctl', 'poweroff');
    const nspawn = this.#nspawn;
    await until(`${this.name} to power off`, POWEROFF_MS, () => nspawn.ended || undefined).catch(() => undefined);
  }

  /** Ends what still runs and takes the mount away; its directory stays. */
  destroy(): void {
    if (!standing.delete(this)) return;
    // Killing systemd-nspawn alone would leave the machine running.
    if (this.#init !== undefined && this.#nspawn?.ended === false) {
      try {
        process.kill(this.#init, 'SIGKILL');
      } catch {
        // It was faster.
      }
    }
    execFileSync('umount', ['--lazy', this.root]);
    // Empty when all has ended; else it stays, and harms nobody.
    for (const group of this.#groups)
      spawnSync('find', [group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';'], { stdio: 'ignore' });
  }
}

/** Where a systemd keeps its groups: the unified tree, and on a host with old ones the one with its name. */
function cgroupTrees(): string[] {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  return mounts.flatMap(([, at = '', kind = '', options = '']) =>
    kind === 'cgroup2' || (kind === 'cgroup' && options.split(',').includes('name=systemd')) ? [at] : [],
  );
}

/** The process that is 1 in there. */
function initOf(nspawn: number): number | undefined {
  const children = readFileSync(`/proc/${String(nspawn)}/task/${String(nspawn)}/children`, 'utf8')
    .trim()
    .split(' ');
  const found = children.find((pid) => pid !== '' && /^NSpid:.*\s1$/m.test(statusOf(pid)) && commOf(pid) === 'systemd');
  return found === undefined ? undefined : Number(found);
}

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};
const statusOf = (pid: string): string => read(`/proc/${pid}/status`);
const commOf = (pid: string): string => read(`/proc/${pid}/comm`).trim();
/** The number of a process within its own namespace. */
const inner = (pid: string): string | undefined => /^NSpid:\s.*?(\d+)$/m.exec(statusOf(pid))?.[1];
