import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Daemon, type DaemonConfigs, daemonConfigs } from './configs.ts';
import { freePort, getJson, Program, until } from './processes.ts';

const ROOT = join(import.meta.dirname, '..', '..');
export const NODE = process.execPath;
export const MAIN = join(ROOT, 'packages/cli/src/main.ts');
/** The variables that the installed program starts Node with. */
const SHIPPED: Record<string, string> = {};
for (const [, name = '', value = ''] of readFileSync(join(ROOT, 'deploy/debian/sluice.sh'), 'utf8').matchAll(
  /\b(MALLOC_\w+)=(\d+)/g,
))
  SHIPPED[name] = value;
if (Object.keys(SHIPPED).length === 0) throw new Error('the installed program sets no variable any more');

const run = promisify(execFile);

const sideOf = (daemon: Daemon): 'sender' | 'isolated' => (daemon === 'sender' ? 'sender' : 'isolated');

export interface WorldOptions {
  readonly dir: string;
  /** Where the sender sends to: a relay, or the receiver's address in another namespace. */
  readonly sendTo?: { readonly host: string; readonly port: number };
  /** UDP port of link. */
  readonly linkPort?: number;
  /** How a program is run on its side, for instance within a network namespace. */
  readonly on?: (side: 'sender' | 'isolated', argv: readonly string[]) => readonly string[];
  /** Failures on order at site A: `match` is a regular expression over `METHOD /path`. */
  readonly faults?: readonly {
    readonly match: string;
    readonly stall?: boolean;
    readonly status?: number;
    readonly times?: number;
  }[];
  /** Directory of keys that an earlier world made; without it new ones are made. */
  readonly keysFrom?: string;
  /** Changes to the daemons' configurations. */
  readonly tune?: (configs: DaemonConfigs) => void;
}

export interface Ports {
  readonly link: number;
  readonly redis: number;
  readonly senderHttp: number;
  readonly receiverHttp: number;
  readonly importerHttp: number;
  readonly harborA: number;
  readonly harborB: number;
}

export interface BundleView {
  readonly id: string;
  readonly sequence: number;
  readonly state: string;
  readonly code: string;
  readonly detail: string;
  readonly name: string;
}

/**
 * A whole pair in one directory: Redis, two registries with the Harbor stand-in in front as sites A and B, and the four
 * daemons as processes of their own. For tests and the demo.
 */
export class World {
  readonly dir: string;
  readonly ports: Ports;
  readonly configs: DaemonConfigs;
  readonly #options: WorldOptions;
  readonly #programs = new Map<string, Program>();
  /** How each program was started: its side and its words. */
  readonly #words = new Map<string, readonly ['sender' | 'isolated', readonly string[]]>();

  private constructor(options: WorldOptions, ports: Ports) {
    this.dir = options.dir;
    this.ports = ports;
    this.#options = options;
    this.configs = daemonConfigs(options.dir, ports, options.sendTo ?? { host: '127.0.0.1', port: ports.link });
    options.tune?.(this.configs);
  }

  /** Makes directories, keys and configuration files. Nothing runs yet. */
  static async create(options: WorldOptions): Promise<World> {
    const ports = {
      link: options.linkPort ?? (await freePort()),
      redis: await freePort(),
      senderHttp: await freePort(),
      receiverHttp: await freePort(),
      importerHttp: await freePort(),
      harborA: await freePort(),
      harborB: await freePort(),
    };
    const world = new World(options, ports);
    world.#prepare();
    return world;
  }

  #prepare(): void {
    const { dir } = this;
    for (const name of ['keys', 'logs', 'inbox', 'sockets', 'redis', 'harbor-a', 'harbor-b', 'files', 'input']) {
      mkdirSync(join(dir, name), { recursive: true });
    }
    if (this.#options.keysFrom === undefined) this.#makeKeys();
    else cpSync(this.#options.keysFrom, join(dir, 'keys'), { recursive: true });
    this.writeConfigs();
    writeFileSync(join(dir, 'replay-keys.json'), JSON.stringify({ keys: this.configs.link.keys }));
  }

  #makeKeys(): void {
    const { dir } = this;
    this.sluice('keys', 'link', '--out', join(dir, 'keys/link.key'));
    for (const name of ['transport', 'release', 'other', 'receipt'])
      this.sluice('keys', 'generate', '--out', join(dir, 'keys', name));
    for (const [name, text] of [
      ['harbor.password', 'Harbor12345'],
      ['secret', 'unused'],
    ] as const) {
      writeFileSync(join(dir, 'keys', name), text, { mode: 0o600 });
    }
  }

  writeConfigs(): void {
    for (const [name, config] of Object.entries(this.configs)) {
      writeFileSync(join(this.dir, `${name}.json`), JSON.stringify(config, undefined, 2));
    }
  }

  /** Runs the `sluice` command to its end and gives its standard output. */
  sluice(...args: string[]): string {
    return execFileSync(NODE, [MAIN, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 64 * 2 ** 20,
    });
  }

  program(name: string): Program {
    const program = this.#programs.get(name);
    if (program === undefined) throw new Error(`${name} was not started`);
    return program;
  }

  #run(name: string, side: 'sender' | 'isolated', argv: readonly string[]): Program {
    this.#words.set(name, [side, argv]);
    const wrapped = this.#options.on?.(side, argv) ?? argv;
    const env = argv[0] === NODE ? { ...process.env, ...SHIPPED } : process.env;
    const program = new Program(name, wrapped, join(this.dir, 'logs', `${name}.log`), env);
    this.#programs.set(name, program);
    return program;
  }

  /** Starts a service once more that ran before. */
  async again(name: string): Promise<void> {
    const words = this.#words.get(name);
    if (words === undefined) throw new Error(`${name} never ran`);
    const { log } = this.program(name);
    const from = readFileSync(log, 'utf8').length;
    const program = this.#run(name, ...words);
    const ready = name === 'redis' ? 'Ready to accept connections' : '"url"';
    await until(`${name} to run again`, 30_000, () => program.output().slice(from).includes(ready) || undefined);
  }

  /** Redis, and both sites. */
  async startServices(): Promise<void> {
    this.startRedis();
    await this.program('redis').line(/Ready to accept connections/);
    await this.startSites();
  }

  /** Both registries, each with the Harbor stand-in in front. */
  async startSites(): Promise<void> {
    await this.#startSite('b', this.ports.harborB, []);
    await this.#startSite('a', this.ports.harborA, [
      {
        name: 'to-b',
        override: true,
        filters: [],
        destination: {
          name: 'b',
          url: `http://127.0.0.1:${String(this.ports.harborB)}`,
          username: 'admin',
          password: 'Harbor12345',
        },
      },
    ]);
  }

  startRedis(...more: readonly string[]): Program {
    const { redis } = this.ports;
    const dir = join(this.dir, 'redis');
    const words = ['--port', String(redis), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'yes'];
    return this.#run('redis', 'isolated', ['redis-server', ...words, '--maxmemory-policy', 'noeviction', ...more]);
  }

  async #startSite(site: 'a' | 'b', port: number, policies: readonly unknown[]): Promise<void> {
    const dir = join(this.dir, `harbor-${site}`);
    const storage = { filesystem: { rootdirectory: join(dir, 'storage') }, delete: { enabled: true } };
    const http = { addr: '127.0.0.1:0', relativeurls: true };
    const registry = { version: 0.1, log: { level: 'info', formatter: 'text' }, storage, http };
    writeFileSync(join(dir, 'registry.yml'), JSON.stringify(registry));
    const behind = this.#run(`registry-${site}`, 'isolated', ['docker-registry', 'serve', join(dir, 'registry.yml')]);
    const [, behindPort = ''] = await behind.line(/listening on 127\.0\.0\.1:(\d+)/);
    const credentials = [{ username: 'admin', password: 'Harbor12345' }];
    const options = {
      dir,
      name: site,
      registry: `http://127.0.0.1:${behindPort}`,
      credentials,
      port,
      policies,
      faults: site === 'a' ? this.#options.faults : [],
    };
    writeFileSync(join(dir, 'stand-in.json'), JSON.stringify(options));
    const harbor = this.#run(`harbor-${site}`, 'isolated', [
      NODE,
      join(ROOT, 'test/harbor/main.ts'),
      '--config',
      join(dir, 'stand-in.json'),
    ]);
    await harbor.line(/"url"/);
  }

  /** Starts a daemon and waits until it says that it is ready. The receiver starts link, and both are waited for. */
  async start(daemon: Daemon): Promise<Program> {
    const program = this.#run(daemon, sideOf(daemon), [
      NODE,
      '--expose-gc',
      MAIN,
      daemon,
      '--config',
      join(this.dir, `${daemon}.json`),
    ]);
    const before = program.output().length;
    await until(`${daemon} to be ready; its log is ${program.log}`, 30_000, () => {
      if (program.output().slice(before).includes(`"msg":"${daemon} ready"`)) return true;
      if (program.ended)
        throw new Error(`${daemon} ended with ${String(program.exitCode)}:\n${program.output().slice(-3000)}`);
      return undefined;
    });
    // Where the receiver is not told to run link, systemd does.
    if (daemon === 'receiver' && 'link' in this.configs.receiver)
      await until(
        'link to be ready',
        30_000,
        () => program.output().slice(before).includes('"msg":"link ready"') || undefined,
      );
    return program;
  }

  async startDaemons(): Promise<void> {
    await this.start('importer');
    await this.start('receiver');
    await this.start('sender');
  }

  /** Pid of the link process that the receiver runs. */
  linkPid(): number {
    const line = this.program('receiver')
      .output()
      .split('\n')
      .findLast((each) => each.includes('"msg":"link started"'));
    const pid = /"link":(\d+)/.exec(line ?? '')?.[1];
    if (pid === undefined) throw new Error(`no pid of link in ${line ?? 'the log'}`);
    return Number(pid);
  }

  url(daemon: 'sender' | 'receiver' | 'importer', path: string): string {
    const port = {
      sender: this.ports.senderHttp,
      receiver: this.ports.receiverHttp,
      importer: this.ports.importerHttp,
    }[daemon];
    return `http://127.0.0.1:${String(port)}${path}`;
  }

  /** The JSON body of a GET, asked from where the daemon runs; undefined when nobody answers. */
  async get<T>(daemon: Daemon, path: string): Promise<T | undefined> {
    const url = this.url(daemon, path);
    const { on } = this.#options;
    if (on === undefined) return getJson<T>(url);
    const [file = '', ...args] = on(sideOf(daemon), ['curl', '--silent', '--max-time', '3', url]);
    try {
      return JSON.parse((await run(file, args, { maxBuffer: 64 * 2 ** 20 })).stdout) as T;
    } catch {
      return undefined;
    }
  }

  async bundles(): Promise<readonly BundleView[]> {
    return (await this.get<{ items: BundleView[] }>('receiver', '/v1/bundles'))?.items ?? [];
  }

  /** Waits until the receiver has a bundle of this sequence number in one of these states. */
  async bundle(sequence: number, states: readonly string[], deadlineMs: number): Promise<BundleView> {
    return until(
      `bundle ${String(sequence)} to be ${states.join(' or ')} (logs in ${join(this.dir, 'logs')})`,
      deadlineMs,
      async () =>
        (await this.bundles()).find((bundle) => bundle.sequence === sequence && states.includes(bundle.state)),
    );
  }

  /** A signed release of these paths, ready to submit; the path of its envelope. */
  release(
    name: string,
    paths: readonly string[],
    keys: readonly string[] = ['release'],
    repositories: readonly string[] = [],
  ): string {
    const file = join(this.dir, 'input', `${name}.json`);
    const args = repositories.flatMap((repository) => ['--repository', repository]);
    writeFileSync(
      file,
      this.sluice('release', 'create', '--name', name, '--approved-by', 'A. Tester', ...args, ...paths),
    );
    for (const key of keys)
      writeFileSync(file, this.sluice('release', 'sign', '--key', join(this.dir, 'keys', `${key}.key.pem`), file));
    return file;
  }

  submit(release: string, paths: readonly string[]): { readonly sequence: number; readonly bundle: string } {
    const answer = this.sluice(
      'submit',
      '--socket',
      join(this.dir, 'sockets/sender.sock'),
      '--release',
      release,
      ...paths,
    );
    return JSON.parse(answer) as { sequence: number; bundle: string };
  }

  async stop(): Promise<void> {
    const order = ['sender', 'receiver', 'importer', 'harbor-a', 'harbor-b', 'registry-a', 'registry-b', 'redis'];
    for (const name of order) await this.#programs.get(name)?.stop();
    for (const program of this.#programs.values()) await program.stop();
  }
}
