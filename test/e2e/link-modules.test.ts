import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { missing } from '../harbor/needs.ts';
import { freePort, getJson, NODE_RELAY, Program, until } from '../world/processes.ts';
import { MAIN, NODE, World } from '../world/world.ts';

const absent = missing('redis-server', 'python3', 'systemd-notify');
const ROOT = join(import.meta.dirname, '..', '..');
const PRELOADED = join(ROOT, 'test/rig/loaded-modules.ts');
const ALLOWED = join(ROOT, 'test/link-modules.json');
const FAULTS = ['--loss', '0.03', '--reorder', '0.02', '--distance', '200', '--seed', '5'];

/** Everything that one run of link loaded, as `PACKAGE FILE`, Node's own modules as `node NAME`. */
type Loaded = readonly string[];

describe.skipIf(absent !== undefined)(
  `what sluice link loads${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    let cleanup = new AsyncDisposableStack();

    afterEach(async () => {
      const done = cleanup;
      cleanup = new AsyncDisposableStack();
      await done.disposeAsync();
    });

    /** Runs a link, started as its unit starts it, through start, a repaired bundle and stop; says what it loaded. */
    async function observe(io: 'native' | 'portable'): Promise<Loaded> {
      const dir = mkdtempSync(join(tmpdir(), 'sluice-modules-'));
      cleanup.defer(() => {
        rmSync(dir, { recursive: true, force: true });
      });
      const relayPort = await freePort();
      const world = await World.create({
        dir,
        sendTo: { host: '127.0.0.1', port: relayPort },
        tune: ({ receiver, link }) => {
          Reflect.deleteProperty(receiver, 'link');
          Reflect.deleteProperty(link, 'listen');
          link.io = io;
        },
      });
      cleanup.defer(() => world.stop());
      const start = async (name: string, argv: readonly string[], ready: RegExp, env = {}): Promise<Program> => {
        const program = new Program(name, argv, join(dir, 'logs', `${name}.log`), { ...process.env, ...env });
        cleanup.defer(() => program.stop());
        await program.line(ready);
        return program;
      };
      await world.startRedis().line(/Ready to accept connections/);
      await world.start('receiver');
      const notifySocket = join(dir, 'sockets/notify');
      const systemd = await start('notify', ['python3', '-uc', TAKE_MESSAGES, notifySocket], /listening/);
      const file = join(dir, 'loaded');
      const command = [NODE, '--import', PRELOADED, MAIN, 'link', '--config', join(dir, 'link.json')];
      const wrapped = ['python3', '-c', HAND_IN_SOCKET, String(world.ports.link), ...command];
      const env = { NOTIFY_SOCKET: notifySocket, SLUICE_LOADED_MODULES: file };
      const link = await start('link', wrapped, /"msg":"link ready"/, env);
      await systemd.line(/READY=1/);
      const ends = ['--listen', String(relayPort), '--to', String(world.ports.link)];
      await start('relay', [...NODE_RELAY, ...ends, ...FAULTS], /relay ready/);
      await world.start('sender');

      const path = join(dir, 'input/file.bin');
      writeFileSync(path, randomBytes(8 * 2 ** 20));
      const { sequence } = world.submit(world.release('file', [path]), [path]);
      await world.bundle(sequence, ['published', 'queued'], 60_000);
      const said = await until('link to have repaired something', 20_000, async () => {
        const status = await getJson<{ link: Link }>(world.url('receiver', '/v1/status'));
        return (status?.link.numbers.recoveredSymbols ?? 0) > 0 ? status?.link : undefined;
      });
      expect(said.io).toBe(io);
      const native = executables(link.pid);
      await link.stop();
      expect(link.exitCode).toBe(0);
      await systemd.line(/STOPPING=1/);
      const modules = readFileSync(file, 'utf8').trim().split('\n').map(nameOf);
      const own = new Set(await bareNode(dir, start));
      return [...modules, ...native.filter((each) => !own.has(each)).map((each) => nameOf(`file://${each}`))];
    }

    it('equals the allow-list, with native calls and without', async () => {
      const native = new Set(await observe('native'));
      const portable = new Set(await observe('portable'));
      const list = {
        both: grouped(native.intersection(portable)),
        native: grouped(native.difference(portable)),
        portable: grouped(portable.difference(native)),
      };
      // After a change that is meant: vitest run --project integration test/e2e/link-modules -u, and read the difference.
      await expect(`${JSON.stringify(list, undefined, 2)}\n`).toMatchFileSnapshot(ALLOWED);
    });

    it('is allowed to be our packages and the binding, the binding only for native calls, and nothing of a network', () => {
      const { both, native, portable } = JSON.parse(readFileSync(ALLOWED, 'utf8')) as Record<string, Grouped>;
      const packages = (list: Grouped = {}): string[] =>
        Object.keys(list).filter((name) => name !== 'node' && !name.startsWith('@sluice/'));
      expect(packages(both)).toEqual([]);
      expect(packages(portable)).toEqual([]);
      expect(packages(native)).not.toEqual([]);
      expect(packages(native).filter((name) => !name.includes('koffi'))).toEqual([]);
      const shared = Object.values(native ?? {})
        .flat()
        .filter((name) => /\.(node|so)\b/.test(name));
      expect(shared.map((name) => name.split('/').at(-1))).toEqual(['koffi.node']);
      const builtin = [both, native, portable].flatMap((list) => list?.node ?? []);
      for (const name of [
        'http',
        'https',
        'http2',
        'tls',
        'dns',
        'dns/promises',
        'worker_threads',
        'vm',
        'inspector',
      ]) {
        expect(builtin).not.toContain(name);
      }
    });
  },
);

interface Link {
  readonly io: string;
  readonly numbers: Readonly<Record<string, number>>;
}

type Grouped = Readonly<Record<string, readonly string[]>>;

/** `PACKAGE FILE` of a module's URL: one of Node, of a workspace package, or below a node_modules. */
function nameOf(url: string): string {
  if (url.startsWith('node:')) return `node ${url.slice('node:'.length)}`;
  const path = relative(ROOT, fileURLToPath(url));
  const [, workspace, file] = /^packages\/([^/]+)\/(.+)$/.exec(path) ?? [];
  if (workspace !== undefined && file !== undefined) return `@sluice/${workspace} ${file}`;
  const below = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const [, name, rest] = /^((?:@[^/]+\/)?[^/]+)\/(.+)$/.exec(below) ?? [];
  return name === undefined || rest === undefined || !path.includes('node_modules/') ? `? ${path}` : `${name} ${rest}`;
}

function grouped(names: ReadonlySet<string>): Grouped {
  const pairs = [...names].toSorted().map((name) => name.split(' ') as [string, string]);
  const groups = Map.groupBy(pairs, ([name]) => name);
  return Object.fromEntries([...groups].map(([name, files]) => [name, files.map(([, file]) => file)]));
}

/** Files that a process has mapped to execute. */
function executables(pid: number): string[] {
  const paths = readFileSync(`/proc/${String(pid)}/maps`, 'utf8')
    .split('\n')
    .map((line) => /^\S+ ..x. \S+ \S+ \S+ +(\/.+)$/.exec(line)?.[1]);
  return [...new Set(paths.filter((path) => path !== undefined))];
}

/** What Node itself maps. */
async function bareNode(
  dir: string,
  start: (name: string, argv: readonly string[], ready: RegExp) => Promise<Program>,
): Promise<string[]> {
  const script = join(dir, 'bare.mjs');
  writeFileSync(script, "console.log('running'); setInterval(() => undefined, 1000);");
  const bare = await start('bare', [NODE, script], /running/);
  const found = executables(bare.pid);
  await bare.stop();
  return found;
}

// What systemd does for a unit of Type=notify with a socket: messages are taken, the socket is handed in.
const TAKE_MESSAGES = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("listening")
while True: print(s.recv(4096).decode())
`;
const HAND_IN_SOCKET = `
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
s.bind(("127.0.0.1", int(sys.argv[1])))
fd = os.dup(s.fileno())
os.dup2(fd, 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="link")
os.execvp(sys.argv[2], sys.argv[2:])
`;
