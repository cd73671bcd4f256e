import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Diode, ISOLATED_ADDRESS } from '../rig/diode.ts';
import type { Daemon, DaemonConfigs } from '../world/configs.ts';
import { until } from '../world/processes.ts';
import { World, type WorldOptions } from '../world/world.ts';
import { must } from './case.ts';
import { fileDigest, type Image, randomFile, randomImage } from './content.ts';

/** The words that start one of our daemons with more in its environment; of any other program as they are. */
export const daemonWith = (
  argv: readonly string[],
  variables: Readonly<Record<string, string>>,
  daemons: readonly string[] = ['sender', 'receiver', 'importer'],
): readonly string[] =>
  argv[0] === process.execPath && argv.some((word) => daemons.includes(word))
    ? ['env', ...Object.entries(variables).map(([key, value]) => `${key}=${value}`), ...argv]
    : argv;

/** UDP port of link, on the far side of the diode. */
const LINK_PORT = 4433;
const RESTART_MS = 100;

export type Kept = Daemon | 'redis';

export interface RigOptions {
  readonly name: string;
  readonly lossPercent?: number;
  readonly offloads?: boolean;
  readonly faults?: WorldOptions['faults'];
  readonly tune?: (configs: DaemonConfigs, dir: string) => void;
  /** How a program is started; `dir` is the rig's directory. */
  readonly wrap?: (argv: readonly string[], dir: string) => readonly string[];
}

export interface ReceiverStatus {
  readonly link: {
    readonly numbers: Readonly<Record<string, number>>;
    readonly verdicts: Readonly<Record<string, number>>;
    readonly alarms: readonly { readonly code: string; readonly detail: string; readonly ageMs: number }[];
  };
  readonly channels: readonly { readonly missing: readonly number[] }[];
}

export interface HealthAnswer {
  readonly status: string;
  readonly checks: Readonly<Record<string, readonly [{ readonly status: string; readonly output?: string }]>>;
}

/** Importers tell of each tag on level debug. */
const talkative = (argv: readonly string[]): readonly string[] =>
  argv.includes('importer') ? ['env', 'SLUICE_LOG_LEVEL=debug', ...argv] : argv;

/** A pair across a diode of two network namespaces, and whoever starts what ends: systemd's part. */
export class Rig implements AsyncDisposable {
  readonly dir: string;
  readonly diode: Diode;
  readonly world: World;
  /** How often each program was started again. */
  readonly restarts = new Map<Kept, number>();
  readonly #kept = new Set<Kept>();
  #images = 0;

  private constructor(dir: string, diode: Diode, world: World) {
    this.dir = dir;
    this.diode = diode;
    this.world = world;
  }

  /** Nothing runs yet. */
  static async create({ name, tune, wrap, faults, ...link }: RigOptions): Promise<Rig> {
    const dir = mkdtempSync(join(tmpdir(), `sluice-chaos-${name}-`));
    const diode = Diode.create({ name: `ch-${name.slice(0, 4)}`, ...link });
    const world = await World.create({
      dir,
      linkPort: LINK_PORT,
      sendTo: { host: ISOLATED_ADDRESS, port: LINK_PORT },
      on: (side, argv) => diode.on(side, talkative(wrap?.(argv, dir) ?? argv)),
      ...(faults === undefined ? {} : { faults }),
      tune: (configs) => {
        Object.assign(configs.link.chunkLog, { mode: 'off' });
        tune?.(configs, dir);
      },
    });
    return new Rig(dir, diode, world);
  }

  async startAll(): Promise<void> {
    await this.world.startServices();
    await this.world.startDaemons();
  }

  /** From now on what ends by itself, or is killed, is started again. */
  keep(...names: readonly Kept[]): void {
    for (const name of names) {
      if (this.#kept.has(name)) continue;
      this.#kept.add(name);
      this.restarts.set(name, 0);
      void this.#restart(name);
    }
  }

  /** Nobody is started again from now on. */
  leave(): void {
    this.#kept.clear();
  }

  async #restart(name: Kept): Promise<void> {
    while (this.#kept.has(name)) {
      await delay(RESTART_MS);
      if (!this.#kept.has(name) || !this.world.program(name).ended) continue;
      this.restarts.set(name, (this.restarts.get(name) ?? 0) + 1);
      if (name === 'redis') this.world.startRedis();
      // Not waited for: one that is killed while it starts is begun anew, too.
      else void this.world.start(name).catch(() => undefined);
    }
  }

  /** Ends everything that runs, and what is mounted below it can go. */
  async stopped(): Promise<void> {
    this.leave();
    await delay(2 * RESTART_MS);
    await this.world.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopped();
    this.diode.destroy();
    if (process.env.SLUICE_CHAOS_KEEP === undefined) rmSync(this.dir, { recursive: true, force: true });
  }

  /** A file of random bytes as a bundle of its own. */
  submitFile(name: string, bytes: number): { readonly sequence: number; readonly bundle: string } {
    const path = join(this.dir, 'input', name);
    randomFile(path, bytes);
    return this.submitAgain(name);
  }

  /** A file that is there, under a release made now. */
  submitAgain(name: string): { readonly sequence: number; readonly bundle: string } {
    const path = join(this.dir, 'input', name);
    return this.world.submit(this.world.release(name, [path]), [path]);
  }

  /** True when the file of this name was delivered, byte for byte. */
  delivered(name: string): boolean {
    try {
      return fileDigest(join(this.dir, 'files', name)) === fileDigest(join(this.dir, 'input', name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return false;
    }
  }

  /** Where the store keeps a file of the input, once it is published. */
  stored(name: string): string {
    return join(this.dir, 'store/blobs/sha256', fileDigest(join(this.dir, 'input', name)));
  }

  /** An image of random layers as `library/NAME:TAG`, in a bundle of its own. */
  submitImage(
    name: string,
    tag: string,
    layers: readonly number[],
  ): { readonly sequence: number; readonly bundle: string; readonly image: Image } {
    this.#images += 1;
    const image = randomImage(join(this.dir, 'input', `${name}-${String(this.#images)}`), tag, layers);
    const release = this.world.release(
      `${name}-${String(this.#images)}`,
      [image.dir],
      ['release'],
      [`library/${name}`],
    );
    return { ...this.world.submit(release, [image.dir]), image };
  }

  /** SHA-256 of what a site gives for a path of its registry; of an error page, where there is nothing. */
  pulled(site: 'a' | 'b', path: string): string {
    const port = { a: this.world.ports.harborA, b: this.world.ports.harborB }[site];
    const accept = 'accept: application/vnd.oci.image.manifest.v1+json';
    const url = `http://127.0.0.1:${String(port)}/v2/${path}`;
    const command = `curl -sL -u admin:Harbor12345 -H '${accept}' '${url}' | sha256sum`;
    return this.diode.exec('isolated', ['sh', '-c', command]).slice(0, 64);
  }

  /** Both sites have the image under its tag, and every blob of it, as they were. */
  mustHave({ manifest, blobs }: Image, name: string, tag: string): void {
    for (const site of ['a', 'b'] as const) {
      const seen = this.pulled(site, `library/${name}/manifests/${tag}`);
      must(seen === manifest, `site ${site} has ${seen} as ${name}:${tag}, and not ${manifest}`);
      for (const blob of blobs.slice(1)) {
        must(this.pulled(site, `library/${name}/blobs/sha256:${blob}`) === blob, `site ${site} has another ${blob}`);
      }
    }
  }

  /** How often importers set a tag in Harbor, or moved it, by their log. */
  timesNamed(repository: string, tag: string): number {
    const lines = this.world.program('importer').output().split('\n');
    const named = `"stop":"tag","repository":"${repository}","tag":"${tag}","how":`;
    return lines.filter((line) => line.includes(`${named}"created"`) || line.includes(`${named}"moved"`)).length;
  }

  async status(): Promise<ReceiverStatus | undefined> {
    return this.world.get<ReceiverStatus>('receiver', '/v1/status');
  }

  /** A number that link told of itself last; 0 before it did. */
  async number(name: string): Promise<number> {
    return (await this.status())?.link.numbers[name] ?? 0;
  }

  /** Waits until so many bytes lie in the spool. */
  async spooled(bytes: number, deadlineMs = 60_000): Promise<void> {
    await until(
      `${String(bytes)} bytes in the spool`,
      deadlineMs,
      async () => (await this.number('spoolBytes')) >= bytes || undefined,
    );
  }

  /** Waits until the sender has sent so many passes of each bundle. */
  async passesLeft(passes: number, deadlineMs = 120_000): Promise<void> {
    await until(`${String(passes)} passes of each bundle to have left`, deadlineMs, async () => {
      const page = await this.world.get<{ items: { passesDone: number }[] }>('sender', '/v1/bundles');
      return page?.items.every(({ passesDone }) => passesDone >= passes) === true ? true : undefined;
    });
  }

  health(daemon: Daemon, path: '/readyz' | '/healthz'): Promise<HealthAnswer | undefined> {
    return this.world.get<HealthAnswer>(daemon, path);
  }

  /** Waits until a check is as it is named, and its words match; gives them. */
  async check(
    daemon: Daemon,
    path: '/readyz' | '/healthz',
    name: string,
    holds: (status: string, output: string) => boolean,
    deadlineMs = 60_000,
  ): Promise<string> {
    return until(`${name} in ${path} of ${daemon}`, deadlineMs, async () => {
      const [seen] = (await this.health(daemon, path))?.checks[name] ?? [];
      return seen !== undefined && holds(seen.status, seen.output ?? '')
        ? `${seen.status}: ${seen.output ?? ''}`
        : undefined;
    });
  }
}
