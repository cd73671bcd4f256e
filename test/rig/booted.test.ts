import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildRelease, commitTime } from '../../deploy/release/build.ts';
import { type Side, SIDES } from '../../deploy/release/sides.ts';
import { Layout } from '../harbor/images.ts';
import { missing } from '../harbor/needs.ts';
import { Program, until } from '../world/processes.ts';
import { World } from '../world/world.ts';
import { configure, debName, MUTE_UNIT, REPOSITORY, successor } from './booted-hosts.ts';
import { Diode, diodeMissing, INTERFACE } from './diode.ts';
import { debianRoot, Machine, machineMissing } from './machine.ts';

const MIB = 2 ** 20;
/** At 500 Mb/s some seconds of airtime. */
const LARGE_BYTES = 400 * MIB;
/** A twentieth of it, in blocks of 200 symbols: link tells once a second. */
const SOME_BLOCKS = LARGE_BYTES / 20 / 1408 / 200;
const VERSIONS = ['0.1.0', '0.1.1'] as const;
/** What the isolated host has of Debian: nothing that Sluice needs to be installed, but what it works with. */
const ISOLATED_PACKAGES = ['redis-server', 'nftables', 'iproute2'];
const SETTLE_MS = 60_000;

const absent = machineMissing() ?? diodeMissing() ?? missing('docker-registry', 'umoci', 'tshark', 'pgrep', 'curl');

interface View {
  readonly id: string;
  readonly sequence: number;
  readonly state: string;
  readonly detail: string;
}

interface Status {
  readonly link: { readonly numbers: Readonly<Record<string, number>> };
}

describe.skipIf(absent !== undefined)(`two booted Debians${absent === undefined ? '' : `: ${absent}`}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-booted-'));
  const path = (...parts: string[]): string => join(dir, ...parts);
  const debs = (version: string): string => path('dist', version);
  const debOf = (side: Side, version: string): string => `/opt/${version}/${debName(side, version)}`;
  let diode: Diode;
  let world: World;
  let layout: Layout;
  let staging: Machine;
  let isolated: Machine;

  beforeAll(async () => {
    const bare = await debianRoot([]);
    const furnished = await debianRoot(ISOLATED_PACKAGES);
    await buildRelease({
      ...{ root: REPOSITORY, out: debs(VERSIONS[0]), version: VERSIONS[0], epoch: commitTime(REPOSITORY) },
      ...{ sides: ['sender', 'receiver'], packagesOnly: true },
    });
    for (const side of ['sender', 'receiver'] as const) successor(side, VERSIONS, path('dist'));
    diode = Diode.create({ name: 'booted', mute: false });
    world = await World.create({ dir: path('world'), on: (side, argv) => diode.on(side, argv) });
    await world.startSites();
    layout = await Layout.create(path('world/input/img'));
    await layout.image('1.0', 'first');
    staging = Machine.create('staging', bare, path('staging'));
    isolated = Machine.create('isolated', furnished, path('isolated'));
    for (const machine of [staging, isolated])
      for (const version of VERSIONS) cpSync(debs(version), join(machine.root, 'opt', version), { recursive: true });
  });

  afterAll(async () => {
    for (const machine of [staging, isolated]) await machine.poweroff();
    for (const machine of [staging, isolated]) machine.destroy();
    await world.stop();
    diode.destroy();
    rmSync(dir, { recursive: true, force: true });
  });

  /** An answer of the receiver, asked from its own host; undefined when it does not answer. */
  const get = (place: string): unknown => {
    try {
      return JSON.parse(diode.exec('isolated', ['curl', '-s', '--max-time', '3', `http://127.0.0.1:9181${place}`]));
    } catch {
      return undefined;
    }
  };
  /** What link counts. */
  const numbers = (): Readonly<Record<string, number>> => (get('/v1/status') as Status | undefined)?.link.numbers ?? {};
  const bundles = (): readonly View[] | undefined => (get('/v1/bundles') as { items: View[] } | undefined)?.items;
  const bundle = (sequence: number, states: readonly string[]): Promise<View> =>
    until(`bundle ${String(sequence)} to be ${states.join(' or ')}`, SETTLE_MS, () =>
      bundles()?.find((each) => each.sequence === sequence && states.includes(each.state)),
    );
  /** Puts files into the staging host and submits them as a person there does. */
  const submit = async (name: string, paths: readonly string[]): Promise<number> => {
    const place = join(staging.root, 'root', name);
    mkdirSync(place);
    cpSync(
      world.release(name, paths, ['release'], paths.includes(layout.dir) ? ['library/box'] : []),
      join(place, 'release.dsse.json'),
    );
    const names = paths.map((each) => each.split('/').at(-1) ?? '');
    paths.forEach((each, i) => {
      cpSync(each, join(place, names[i] ?? ''), { recursive: true });
    });
    const inside = names.map((each) => `/root/${name}/${each}`);
    const said = await staging.run('sluice', 'submit', '--release', `/root/${name}/release.dsse.json`, ...inside);
    return (JSON.parse(said) as { sequence: number }).sequence;
  };
  const note = (name: string, bytes: Uint8Array | string): string => {
    const file = path('world/input', name);
    writeFileSync(file, bytes);
    return file;
  };

  describe('are installed without a network', () => {
    it.each(['sender', 'receiver'] as const)('%s: by apt, on a root with nothing but systemd', async (side) => {
      const machine = side === 'sender' ? staging : isolated;
      await machine.alone('apt-get', 'install', '-y', debOf(side, VERSIONS[0]));
      const status = await machine.alone('dpkg-query', '-W', '-f', '${Status} ${Version}', `sluice-${side}`);
      expect(status).toBe(`install ok installed ${VERSIONS[0]}`);
      const users = readFileSync(join(machine.root, 'etc/passwd'), 'utf8');
      for (const user of SIDES[side].users) expect(users).toContain(`${user}:x:`);
      expect(await machine.alone('find', '/var/lib/sluice', '-maxdepth', '1', '-mindepth', '1')).toContain(
        side === 'sender' ? '/var/lib/sluice/inbox' : '/var/lib/sluice/spool',
      );
    });

    it.each([
      ['sender', 'sender'],
      ['receiver', 'link'],
      ['receiver', 'receiver'],
      ['receiver', 'importer'],
    ] as const)('%s: sluice %s --check finds everything there', async (side, daemon) => {
      const machine = side === 'sender' ? staging : isolated;
      const said = await machine.alone('/usr/bin/sluice', daemon, '--check');
      expect(said).toContain('sockets: native');
      expect(said).toContain('tags by OpenSSL in batches');
      expect(said).toContain('repair: relaxed-simd');
      expect(said).toContain(`configuration: none yet at /etc/sluice/${daemon}.json`);
    });
  });

  it('boot, and every unit comes up by itself, in whatever order', async () => {
    configure({ staging, isolated, keys: path('world/keys'), ports: world.ports });
    await Promise.all([staging.boot(diode.namespace('sender')), isolated.boot(diode.namespace('isolated'))]);
    const units = { staging: SIDES.sender.enabled, isolated: [...SIDES.receiver.enabled, MUTE_UNIT] };
    for (const unit of units.staging) await activated(staging, unit);
    for (const unit of units.isolated) await activated(isolated, unit);
    for (const machine of [staging, isolated])
      expect(await machine.run('systemctl', 'list-units', '--failed', '--plain', '--no-legend', 'sluice*')).toBe('');
  });

  it('shut each service into its sandbox', async () => {
    for (const [machine, unit, groups] of [
      [staging, 'sluice-sender.service', 'sluice-inbox'],
      [isolated, 'sluice-link.service', 'sluice-spool'],
      [isolated, 'sluice-receiver.service', 'sluice-spool'],
      [isolated, 'sluice-importer.service', 'sluice-store'],
    ] as const) {
      const pid = await machine.pid(unit);
      const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      expect(status).toMatch(/^Seccomp:\t2$/m);
      expect(status).toMatch(/^CapEff:\t0000000000000000$/m);
      expect(status).toMatch(/^CapBnd:\t0000000000000000$/m);
      expect(status).not.toMatch(/^Uid:\t0\t/m);
      const within = (...words: string[]): string =>
        execFileSync('nsenter', ['-t', String(pid), '-m', '--', ...words], { encoding: 'utf8', stdio: 'pipe' });
      expect(() => within('touch', '/usr/here')).toThrow('Read-only file system');
      expect(() => within('touch', '/etc/sluice/here')).toThrow('Read-only file system');
      expect(() => within('ls', '/etc/sluice/keys/link')).toThrow();
      expect(await machine.run('id', '-nG', await machine.property(unit, 'User'))).toContain(groups);
    }
    // The unit of the diode interface has a user that is there only for it.
    expect(await isolated.property(MUTE_UNIT, 'DynamicUser')).toBe('yes');
    expect(Number(await isolated.property(MUTE_UNIT, 'UID'))).toBeGreaterThanOrEqual(61_184);
    // Link sees no interface but a loopback of its own.
    const link = String(await isolated.pid('sluice-link.service'));
    const seen = execFileSync('nsenter', ['-t', link, '-n', 'ip', '-o', 'link'], { encoding: 'utf8' });
    expect(
      seen
        .trim()
        .split('\n')
        .map((line) => line.split(': ')[1]),
    ).toEqual(['lo']);
  });

  it('carry a bundle across, and import it', async () => {
    const paths = [layout.dir, note('notes.txt', 'some notes')];
    expect(await submit('first', paths)).toBe(1);
    await bundle(1, ['imported']);
    const wanted = readFileSync(join(layout.dir, 'index.json'), 'utf8');
    for (const port of [world.ports.harborA, world.ports.harborB]) {
      const url = `http://127.0.0.1:${String(port)}/v2/library/box/manifests/1.0`;
      const accept = 'accept: application/vnd.oci.image.manifest.v1+json';
      const words = ['curl', '-s', '-u', 'admin:Harbor12345', '-H', accept, '-o', '/dev/null', '-D', '-', url];
      const digest = /docker-content-digest: (\S+)/i.exec(diode.exec('isolated', words))?.[1];
      expect(digest).toMatch(/^sha256:/);
      expect(wanted).toContain(digest);
    }
    expect(readFileSync(join(isolated.root, 'var/lib/sluice/files/notes.txt'), 'utf8')).toBe('some notes');
  });

  it('serve page and answers within their sandbox', async () => {
    for (const [side, port] of [
      ['sender', 9180],
      ['isolated', 9181],
      ['isolated', 9183],
    ] as const) {
      const page = (place: string): string =>
        diode.exec(side, [
          'curl',
          '-s',
          '-o',
          '/dev/null',
          '-w',
          '%{http_code}',
          `http://127.0.0.1:${String(port)}${place}`,
        ]);
      expect([port, page('/livez'), page('/readyz'), page('/healthz')]).toEqual([port, '200', '200', '200']);
      if (port === 9183) continue;
      expect([page('/'), page('/page.js'), page('/v1/overview'), page('/v1/status')]).toEqual([
        '200',
        '200',
        '200',
        '200',
      ]);
    }
    expect(await staging.property('sluice-sender.service', 'StatusText')).toContain('sending to 10.99.0.2:4433');
    expect(await isolated.property('sluice-link.service', 'StatusText')).toContain('receiving (native)');
  });

  it('answer whoever asks while a daemon is away, once it is back', async () => {
    await isolated.run('systemctl', 'stop', 'sluice-receiver.service');
    expect(await isolated.property('sluice-receiver.service', 'ActiveState')).toBe('inactive');
    const words = [
      'curl',
      '-s',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '--max-time',
      '30',
      'http://127.0.0.1:9181/livez',
    ];
    expect(diode.exec('isolated', words)).toBe('200');
    await activated(isolated, 'sluice-receiver.service');
  });

  it('lose no datagram when link is restarted in mid-transfer at 500 Mb/s', async () => {
    const large = note('large.bin', Buffer.alloc(LARGE_BYTES, 'sluice '));
    const before = numbers();
    const sequence = await submit('large', [large]);
    await until('some of it to be there', SETTLE_MS, () => {
      return (numbers().blocks ?? 0) - (before.blocks ?? 0) > SOME_BLOCKS || undefined;
    });
    const HANDED = /handed over to the next start|taken over from the process before/;
    /** What link said of it last: what one process gave, and what the next one took. */
    const handed = (): Promise<readonly { readonly records: number; readonly bytes: number }[]> =>
      until('the journal to have both', SETTLE_MS, async () => {
        const said = await isolated.run('journalctl', '-u', 'sluice-link.service', '-o', 'cat');
        const [gave = '', took = ''] = said
          .split('\n')
          .filter((line) => HANDED.test(line))
          .slice(-2);
        return took.includes('taken over') ? [gave, took].map((line) => JSON.parse(line) as never) : undefined;
      });
    // While repair symbols of blocks that are whole go by, nothing is to be handed over: then it is done once more.
    for (let some = false, times = 1; !some; times += 1) {
      expect(times).toBeLessThan(8);
      const first = await isolated.pid('sluice-link.service');
      await isolated.run('systemctl', 'restart', 'sluice-link.service');
      const second = await isolated.pid('sluice-link.service');
      expect(second).not.toBe(first);
      const [{ state } = { state: 'none' }] = bundles()?.filter((each) => each.sequence === sequence) ?? [];
      expect(state).toBe('receiving');
      // What the old process held of blocks that were not whole, the new one had.
      const [gave, took] = await handed();
      expect(took).toMatchObject({ records: gave?.records, bytes: gave?.bytes });
      some = (gave?.bytes ?? 0) > 0;
    }
    await bundle(sequence, ['imported']);
    const after = await until('link to tell of all of it', SETTLE_MS, () => {
      const now = numbers();
      return (now.blocks ?? 0) > SOME_BLOCKS ? now : undefined;
    });
    // No number that the sender gave is missing, and no symbol had to be computed.
    const none = { lost: 0, kernelDrops: 0, recoveredSymbols: 0, evictedSymbols: 0, unknownToiDropped: 0 };
    expect({ before, after }).toMatchObject({ before: none, after: none });
  });

  it('have link ended by the watchdog when its receiving thread stands still, and it goes on', async () => {
    const link = await isolated.pid('sluice-link.service');
    const before = Number(await isolated.property('sluice-link.service', 'NRestarts'));
    const holder = new Program(
      'holder',
      ['python3', join(import.meta.dirname, 'hold-thread.py'), String(link)],
      path('holder.log'),
    );
    await holder.line(/^held$/m);
    await until('systemd to start link again', SETTLE_MS, async () => {
      const restarts = Number(await isolated.property('sluice-link.service', 'NRestarts'));
      return restarts > before || undefined;
    });
    await holder.line(/^gone$/m);
    await activated(isolated, 'sluice-link.service');
    expect(await isolated.pid('sluice-link.service')).not.toBe(link);
    expect(await isolated.run('journalctl', '-u', 'sluice-link.service', '-o', 'cat')).toContain('Watchdog timeout');
    const sequence = await submit('after', [note('after.txt', 'after the stop')]);
    await bundle(sequence, ['imported']);
  });

  it('keep what they know through an upgrade, and go on in it', async () => {
    const before = bundles();
    const socket = await isolated.property('sluice-link.socket', 'ActiveEnterTimestampMonotonic');
    for (const [machine, side] of [
      [isolated, 'receiver'],
      [staging, 'sender'],
    ] as const) {
      const unit = `sluice-${side}.service`;
      const old = await machine.pid(unit);
      await machine.run('apt-get', 'install', '-y', debOf(side, VERSIONS[1]));
      expect(await machine.run('dpkg-query', '-W', '-f', '${Version}', `sluice-${side}`)).toBe(VERSIONS[1]);
      await activated(machine, unit);
      expect(await machine.pid(unit)).not.toBe(old);
    }
    // The socket stood open all the while.
    expect(await isolated.property('sluice-link.socket', 'ActiveEnterTimestampMonotonic')).toBe(socket);
    const after = await until('the receiver to answer', SETTLE_MS, bundles);
    expect(after).toEqual(before);
    const sequence = await submit('upgraded', [note('upgraded.txt', 'after the upgrade')]);
    expect(sequence).toBe((before?.[0]?.sequence ?? 0) + 1);
    await bundle(sequence, ['imported']);
  });

  it('offer nothing to the link, whatever was done to them', () => {
    const offered = diode.egressCount();
    expect(diode.exec('isolated', ['sh', join(REPOSITORY, 'deploy/mute.sh'), INTERFACE, 'status'])).toContain(
      'mute: yes',
    );
    expect(diode.egressCount()).toBe(offered);
  });

  it.each(['sender', 'receiver'] as const)('are rid of %s when it is purged', async (side) => {
    const machine = side === 'sender' ? staging : isolated;
    await machine.run('apt-get', 'purge', '-y', `sluice-${side}`);
    const left = await machine.run(
      'find',
      '/',
      '-xdev',
      '-iname',
      '*sluice*',
      '-not',
      '-path',
      '/proc/*',
      '-not',
      '-path',
      '/opt/*',
      '-not',
      '-path',
      '/root/*',
    );
    expect(left.split('\n').filter((each) => each !== '')).toEqual([]);
    expect(await machine.run('sh', '-c', 'getent passwd; getent group')).not.toContain('sluice');
    expect(await machine.run('systemctl', 'list-units', '--all', '--plain', '--no-legend', 'sluice*')).toBe('');
  });

  const activated = (machine: Machine, unit: string): Promise<true> =>
    until(
      `${unit} to be active`,
      SETTLE_MS,
      async () => (await machine.property(unit, 'ActiveState')) === 'active' || undefined,
    );
});
