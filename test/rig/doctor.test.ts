import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../harbor/needs.ts';
import { freePort, Program } from '../world/processes.ts';
import { MAIN, NODE, World } from '../world/world.ts';
import { Diode, diodeMissing, INTERFACE, ISOLATED_ADDRESS, MUTE, SENDER_ADDRESS, type Side } from './diode.ts';

const absent = diodeMissing() ?? missing('redis-server', 'docker-registry', 'openssl');

interface Finding {
  readonly check: string;
  readonly level: string;
  readonly what: string;
  readonly why?: string;
  readonly command?: string;
}
interface Report {
  readonly status: number | null;
  readonly findings: readonly Finding[];
}

describe.skipIf(absent !== undefined)(`doctor${absent === undefined ? '' : `: ${absent}`}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-doctor-test-'));
  const etc = join(dir, 'etc');
  let world: World;
  const diodes: Diode[] = [];

  const create = (): Diode => {
    const diode = Diode.create({ name: 'doctor' });
    diodes.push(diode);
    return diode;
  };
  /** What it says on a side of the diode, or on this host. */
  const examine = (on: readonly [Diode, Side] | undefined, ...args: string[]): Report => {
    const words = [NODE, MAIN, 'doctor', ...args, '--json', '--etc', etc];
    const [file = '', ...rest] = on === undefined ? words : on[0].on(on[1], words);
    const { status, stdout, stderr } = spawnSync(file, rest, { encoding: 'utf8' });
    expect(stderr).toBe('');
    return { status, findings: (JSON.parse(stdout) as { findings: Finding[] }).findings };
  };
  const find = (report: Report, check: string): Finding => {
    const found = report.findings.find((each) => each.check === check);
    if (found === undefined)
      throw new Error(`${check} is not among ${report.findings.map((each) => each.check).join(', ')}`);
    return found;
  };
  const level = (report: Report, check: string): string => find(report, check).level;
  const edit = (daemon: string, change: (config: Record<string, unknown>) => void): void => {
    const file = join(etc, `${daemon}.json`);
    const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    change(config);
    writeFileSync(file, JSON.stringify(config));
  };

  beforeAll(async () => {
    world = await World.create({ dir: join(dir, 'world'), sendTo: { host: ISOLATED_ADDRESS, port: 4433 } });
    await world.startServices();
    for (const daemon of ['sender', 'link', 'receiver', 'importer']) {
      mkdirSync(join(etc, 'keys', daemon), { recursive: true, mode: 0o700 });
      chmodSync(join(etc, 'keys', daemon), 0o700);
      cpSync(join(dir, 'world', `${daemon}.json`), join(etc, `${daemon}.json`));
      writeFileSync(join(etc, 'keys', daemon, 'secret'), 'x', { mode: 0o600 });
    }
    for (const place of ['sender', 'receiver', 'spool', 'store', 'chunks', 'refused'])
      mkdirSync(join(dir, 'world', place), { recursive: true });
  });
  afterEach(() => {
    for (const diode of diodes.splice(0)) diode.destroy();
  });
  afterAll(async () => {
    await world.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  describe('on the staging side', () => {
    it('finds nothing wrong with a link that is as it must be', () => {
      const report = examine([create(), 'sender'], 'sender');
      for (const check of [
        'link:route',
        'link:neighbour',
        'link:interface',
        'link:carrier',
        'link:mtu',
        'link:queue',
        'link:errors',
        'keys:sender',
        'config:sender',
        'disk:state',
        'cpu:repair',
        'io:native',
      ])
        if (check !== 'link:interface') expect([check, level(report, check)]).toEqual([check, 'ok']);
      expect(report.status).toBe(0);
      for (const { check, level: each, why, command } of report.findings)
        if (each === 'warn' || each === 'fail')
          expect([check, typeof why, typeof command]).toEqual([check, 'string', 'string']);
    });

    it('finds a neighbour that would have to be asked for', () => {
      const diode = create();
      diode.exec('sender', ['ip', 'neigh', 'del', ISOLATED_ADDRESS, 'dev', INTERFACE]);
      const report = examine([diode, 'sender'], 'sender');
      expect(report.status).toBe(1);
      const { level: judged, command } = find(report, 'link:neighbour');
      expect(judged).toBe('fail');
      // The command mends it.
      const lladdr = diode.exec('isolated', ['cat', `/sys/class/net/${INTERFACE}/address`]).trim();
      diode.exec('sender', (command ?? '').replace('MAC-OF-THE-OTHER-SIDE', lladdr).split(' '));
      expect(level(examine([diode, 'sender'], 'sender'), 'link:neighbour')).toBe('ok');
    });

    it('finds an interface too small for a datagram, and the command that makes it large enough', () => {
      const diode = create();
      diode.exec('sender', ['ip', 'link', 'set', INTERFACE, 'mtu', '1400']);
      const { level: judged, what, command } = find(examine([diode, 'sender'], 'sender'), 'link:mtu');
      expect([judged, what]).toEqual(['fail', `${INTERFACE} takes 1400 bytes, a datagram has 1480`]);
      diode.exec('sender', (command ?? '').split(' '));
      expect(level(examine([diode, 'sender'], 'sender'), 'link:mtu')).toBe('ok');
    });

    it('finds a link without light, and one that is switched off', () => {
      const diode = create();
      diode.exec('isolated', ['ip', 'link', 'set', INTERFACE, 'down']);
      expect(find(examine([diode, 'sender'], 'sender'), 'link:carrier')).toMatchObject({
        level: 'fail',
        what: `${INTERFACE} has no carrier`,
      });
      const there = examine([diode, 'isolated'], 'receiver', '--interface', INTERFACE);
      expect(find(there, 'link:carrier')).toMatchObject({ level: 'fail', what: `${INTERFACE} is switched off` });
    });

    it('finds that there is no way at all', () => {
      const diode = create();
      diode.exec('sender', ['ip', 'addr', 'del', `${SENDER_ADDRESS}/24`, 'dev', INTERFACE]);
      expect(find(examine([diode, 'sender'], 'sender'), 'link:route')).toMatchObject({ level: 'fail' });
    });

    it('finds a queue that shapes by itself', () => {
      const diode = create();
      diode.exec('sender', [
        'tc',
        'qdisc',
        'add',
        'dev',
        INTERFACE,
        'root',
        'tbf',
        'rate',
        '100mbit',
        'burst',
        '64kb',
        'latency',
        '50ms',
      ]);
      expect(find(examine([diode, 'sender'], 'sender'), 'link:queue')).toMatchObject({
        level: 'warn',
        what: expect.stringContaining('tbf') as string,
      });
    });

    it('finds keys that others may read, and a configuration that is wrong', () => {
      const diode = create();
      chmodSync(join(etc, 'keys/sender/secret'), 0o644);
      const report = examine([diode, 'sender'], 'sender');
      const { level: judged, command } = find(report, 'keys:sender');
      expect(judged).toBe('fail');
      execFileSync('sh', ['-c', command ?? '']);
      expect(level(examine([diode, 'sender'], 'sender'), 'keys:sender')).toBe('ok');
      const kept = readFileSync(join(etc, 'sender.json'));
      edit('sender', (config) => Object.assign(config, { nonsense: 1 }));
      expect(find(examine([diode, 'sender'], 'sender'), 'config:sender')).toMatchObject({
        level: 'fail',
        what: expect.stringContaining('nonsense') as string,
      });
      writeFileSync(join(etc, 'sender.json'), kept);
    });
  });

  describe('on the isolated side', () => {
    it('sees an interface that is mute, and one that is not', () => {
      const diode = create();
      const words = ['receiver', '--interface', INTERFACE];
      const report = examine([diode, 'isolated'], ...words);
      for (const check of [
        'link:carrier',
        'link:mute',
        'link:mute-counter',
        'link:rp-filter',
        'config:channels',
        'config:socket',
        'config:policy',
        'config:store',
        'config:redis',
      ])
        expect([check, level(report, check)]).toEqual([check, 'ok']);
      diode.exec('isolated', ['sh', MUTE, INTERFACE, 'down']);
      const open = examine([diode, 'isolated'], ...words);
      expect(open.status).toBe(1);
      expect(find(open, 'link:mute')).toMatchObject({
        level: 'fail',
        command: `systemctl enable --now sluice-mute@${INTERFACE}.service`,
      });
    });

    it('sees a strict return path filter', () => {
      const diode = create();
      diode.exec('isolated', ['sh', '-c', `echo 1 >/proc/sys/net/ipv4/conf/${INTERFACE}/rp_filter`]);
      expect(level(examine([diode, 'isolated'], 'receiver', '--interface', INTERFACE), 'link:rp-filter')).toBe('warn');
    });

    it('holds buffer and memory of the kernel against rate and pause', () => {
      const enough = examine(undefined, 'receiver', '--rate', '1Mbit/s', '--pause', '10ms');
      expect([level(enough, 'udp:receive-buffer'), level(enough, 'udp:memory'), level(enough, 'udp:backlog')]).toEqual([
        'ok',
        'ok',
        'ok',
      ]);
      const report = examine(undefined, 'receiver', '--rate', '500Mbit/s', '--pause', '1s');
      // 41,172 datagrams a second, 2304 bytes each.
      expect(find(report, 'udp:receive-buffer').what).toContain('90 MiB hold 1000 ms at 500 Mbit/s');
      const far = examine(undefined, 'receiver', '--rate', '100Gbit/s', '--pause', '1min');
      expect([level(far, 'udp:receive-buffer'), level(far, 'udp:memory'), far.status]).toEqual(['warn', 'fail', 1]);
    });

    it('asks Redis and Harbor themselves', async () => {
      const report = examine(undefined, 'receiver');
      for (const check of ['redis:reachable', 'redis:eviction', 'redis:persistence', 'harbor:a', 'harbor:b'])
        expect([check, level(report, check)]).toEqual([check, 'ok']);
      const port = await freePort();
      const words = [
        '--port',
        String(port),
        '--save',
        '',
        '--requirepass',
        'open',
        '--maxmemory-policy',
        'allkeys-lru',
      ];
      const redis = new Program('careless', ['redis-server', ...words], join(dir, 'careless.log'));
      await redis.line(/Ready to accept connections/);
      const [receiver, importer] = ['receiver', 'importer'].map((daemon) => readFileSync(join(etc, `${daemon}.json`)));
      const passwordFile = join(dir, 'redis.password');
      writeFileSync(passwordFile, 'open', { mode: 0o600 });
      const careless = { url: `redis://127.0.0.1:${String(port)}`, passwordFile };
      for (const daemon of ['receiver', 'importer'])
        edit(daemon, (config) => Object.assign(config, { redis: careless }));
      edit('importer', (config) => Object.assign(config.harbor as object, { username: 'nobody' }));
      const bad = examine(undefined, 'receiver');
      expect(find(bad, 'redis:eviction')).toMatchObject({ level: 'warn', what: 'maxmemory-policy is allkeys-lru' });
      expect(level(bad, 'redis:persistence')).toBe('warn');
      expect(find(bad, 'harbor:a')).toMatchObject({ level: 'fail' });
      await redis.stop();
      const away = examine(undefined, 'receiver');
      expect(find(away, 'redis:reachable')).toMatchObject({
        level: 'warn',
        what: expect.stringContaining('ECONNREFUSED') as string,
      });
      if (receiver !== undefined) writeFileSync(join(etc, 'receiver.json'), receiver);
      if (importer !== undefined) writeFileSync(join(etc, 'importer.json'), importer);
    });

    it('sees two configurations of one side that disagree', () => {
      const kept = readFileSync(join(etc, 'importer.json'));
      edit('importer', (config) => Object.assign((config.channels as object[])[0] ?? {}, { releaseSignatures: 0 }));
      const report = examine(undefined, 'receiver');
      expect(report.status).toBe(1);
      expect(find(report, 'config:policy')).toMatchObject({
        level: 'fail',
        what: 'receiver.json and importer.json differ in channels',
      });
      writeFileSync(join(etc, 'importer.json'), kept);
    });

    it('sees a certificate that ends soon', () => {
      const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'cert.key.pem')];
      const kept = readFileSync(join(etc, 'importer.json'));
      const make = (days: number): void => {
        const words = ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-subj', '/CN=x', '-days', String(days)];
        execFileSync('openssl', [...words, '-keyout', key, '-out', cert], { stdio: 'pipe' });
      };
      edit('importer', (config) => Object.assign(config.harbor as object, { caFile: cert }));
      for (const [days, judged] of [
        [400, 'ok'],
        [10, 'warn'],
      ] as const) {
        make(days);
        expect(level(examine(undefined, 'receiver'), 'certificate:authority-a')).toBe(judged);
      }
      writeFileSync(join(etc, 'importer.json'), kept);
    });
  });

  it('compares the configuration that the sender runs with, by its heartbeat', async () => {
    // The running pair of this world, over loopback.
    const pair = await World.create({ dir: join(dir, 'pair') });
    await pair.start('receiver');
    await pair.start('sender');
    const at = join(dir, 'pair-etc');
    for (const daemon of ['link', 'receiver', 'sender']) {
      mkdirSync(join(at, 'keys', daemon), { recursive: true });
      cpSync(join(dir, 'pair', `${daemon}.json`), join(at, `${daemon}.json`));
    }
    const ask = (side: string, ...more: string[]): Report => {
      const { status, stdout } = spawnSync(NODE, [MAIN, 'doctor', side, '--json', '--etc', at, ...more], {
        encoding: 'utf8',
      });
      return { status, findings: (JSON.parse(stdout) as { findings: Finding[] }).findings };
    };
    const digest = /sha256:[0-9a-f]{64}/.exec(find(ask('sender'), 'config:digest').what)?.[0] ?? '';
    await expect
      .poll(() => level(ask('receiver', '--sender-config', digest), 'sender-config:prod'), { timeout: 20_000 })
      .toBe('ok');
    const running = ask('receiver', '--sender-config', `sha256:${'0'.repeat(64)}`);
    expect(find(running, 'sender-config:prod')).toMatchObject({
      level: 'warn',
      what: expect.stringContaining(digest) as string,
    });
    // With a link that runs, what the kernel gave it counts.
    expect(find(running, 'udp:receive-buffer').what).toMatch(/^\d+ MiB; 90 MiB hold/);
    expect(level(running, 'daemon:receiver')).toBe('ok');
    await pair.stop();
  });

  it('says all of it in words, and only what is not good when it is to be quiet', () => {
    const words = spawnSync(NODE, [MAIN, 'doctor', 'receiver', '--etc', etc], { encoding: 'utf8' });
    expect(words.stdout).toMatch(/^ok {6}config:receiver/m);
    expect(words.stdout).toMatch(/^\d+ ok, \d+ to look at, \d+ wrong, \d+ not known$/m);
    const quiet = spawnSync(NODE, [MAIN, 'doctor', 'receiver', '--quiet', '--etc', etc], { encoding: 'utf8' });
    expect(quiet.stdout).not.toMatch(/^ok/m);
    expect(quiet.status).toBe(words.status);
    expect(spawnSync(NODE, [MAIN, 'doctor'], { encoding: 'utf8' })).toMatchObject({ status: 2 });
  });
});
