import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../harbor/needs.ts';
import { rootMissing } from './diode.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const UNITS = join(REPOSITORY, 'systemd');
const HOST_UNITS = '/usr/lib/systemd/system';
const unitFiles = readdirSync(UNITS).sort();
const services = unitFiles.filter((name) => name.endsWith('.service'));
/** Worst exposure that `systemd-analyze security` may find; link, which parses what comes over the wire, has less. */
const EXPOSURE_MAX = 1.5;
const LINK_EXPOSURE_MAX = 0.6;

const rootless = rootMissing();
const absent = missing('systemd-analyze', 'systemd-sysusers', 'systemd-tmpfiles');

/** The instance of a template, as an operator names it. */
const instance = (unit: string): string => unit.replace('@.', '@eth1.');

/** The settings of a unit; each name with all its values. */
function settings(unit: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of readFileSync(join(UNITS, unit), 'utf8').split('\n')) {
    const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) found.set(name, [...(found.get(name) ?? []), value]);
  }
  return found;
}

describe.skipIf(absent !== undefined)(
  `systemd units${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    let root: string;

    /** Runs a tool of systemd on the root; gives status and everything it said. */
    const tool = (name: string, ...args: string[]): { readonly status: number | null; readonly said: string } => {
      const { status, stdout, stderr } = spawnSync(name, args, { encoding: 'utf8' });
      return { status, said: stdout + stderr };
    };

    beforeAll(() => {
      root = mkdtempSync(join(tmpdir(), 'sluice-units-'));
      for (const path of ['usr/bin', 'usr/lib/sluice', 'etc/systemd/system'])
        mkdirSync(join(root, path), { recursive: true });
      cpSync(HOST_UNITS, join(root, HOST_UNITS), { recursive: true, verbatimSymlinks: true });
      for (const unit of unitFiles) copyFileSync(join(UNITS, unit), join(root, HOST_UNITS, unit));
      const main = join(REPOSITORY, 'packages/cli/src/main.ts');
      writeFileSync(join(root, 'usr/bin/sluice'), `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`);
      chmodSync(join(root, 'usr/bin/sluice'), 0o755);
      copyFileSync(join(REPOSITORY, 'deploy/mute.sh'), join(root, 'usr/lib/sluice/mute.sh'));
    });
    afterAll(() => {
      rmSync(root, { recursive: true });
    });

    it('are all there', () => {
      expect(unitFiles).toEqual([
        'sluice-importer.service',
        'sluice-importer@.service',
        'sluice-link.service',
        'sluice-link.socket',
        'sluice-mute@.service',
        'sluice-receiver-http.socket',
        'sluice-receiver.service',
        'sluice-sender-http.socket',
        'sluice-sender.service',
      ]);
    });

    it.each(unitFiles)('%s is clean for systemd-analyze verify', (unit) => {
      expect(tool('systemd-analyze', 'verify', '--man=no', `--root=${root}`, instance(unit))).toEqual({
        status: 0,
        said: '',
      });
    });

    it('verify finds an executable that is missing, so the check can fail', () => {
      const bare = mkdtempSync(join(tmpdir(), 'sluice-bare-'));
      cpSync(join(root, HOST_UNITS), join(bare, HOST_UNITS), { recursive: true, verbatimSymlinks: true });
      const { status, said } = tool('systemd-analyze', 'verify', '--man=no', `--root=${bare}`, 'sluice-sender.service');
      rmSync(bare, { recursive: true });
      expect(status).not.toBe(0);
      expect(said).toContain('/usr/bin/sluice');
    });

    it.each(services)('%s is as closed as it must be', (unit) => {
      const max = unit === 'sluice-link.service' ? LINK_EXPOSURE_MAX : EXPOSURE_MAX;
      const args = ['security', '--offline=true', '--no-pager', `--root=${root}`, `--threshold=${max * 10}`];
      const { status, said } = tool('systemd-analyze', ...args, instance(unit));
      const exposure = /Overall exposure level for \S+ ([\d.]+)/.exec(said)?.[1];
      expect(Number(exposure)).toBeLessThanOrEqual(max);
      expect(status).toBe(0);
    });

    it('start executables that are there, with a command that exists', () => {
      for (const unit of services) {
        const [program = '', command = '', ...words] = settings(unit).get('ExecStart')?.[0]?.split(' ') ?? [];
        expect(lstatSync(join(root, program)).mode & 0o111).not.toBe(0);
        if (program !== '/usr/bin/sluice') continue;
        const help = execFileSync(join(root, 'usr/bin/sluice'), ['help', command], { encoding: 'utf8' });
        expect(help).toContain(`sluice ${command} --config FILE`);
        const instances = unit.includes('@') ? '-%i' : '';
        expect(words).toEqual(['--config', `/etc/sluice/${command}${instances}.json`]);
      }
    });

    it.each(services.filter((unit) => unit !== 'sluice-mute@.service'))('%s is a service that is watched', (unit) => {
      const found = settings(unit);
      expect(found.get('Type')).toEqual(['notify']);
      // The importer has no native calls, and notifies through a program.
      expect(found.get('NotifyAccess')).toEqual([unit.startsWith('sluice-importer') ? 'all' : 'main']);
      expect(found.get('WatchdogSec')).toEqual(['30s']);
      expect(found.get('Restart')).toEqual(['always']);
      expect(found.get('LoadCredential')?.[0]).toMatch(/^key:\/etc\/sluice\/keys\/\w+$/);
    });

    it('a further importer is the first one but for its configuration, its state and what it is called', () => {
      const [first, further] = ['sluice-importer.service', 'sluice-importer@.service'].map((unit) =>
        readFileSync(join(UNITS, unit), 'utf8').split('\n'),
      );
      const own = (some: string[] = [], other: string[] = []): string[] => some.filter((line) => !other.includes(line));
      expect(own(first, further).map((line) => line.split('=')[0])).toEqual([
        'Description',
        'ConditionPathExists',
        'ExecStart',
        'StateDirectory',
      ]);
      expect(own(further, first).filter((line) => !line.startsWith('#'))).toEqual([
        expect.stringMatching(/^Description=.*%i/),
        'ConditionPathExists=/etc/sluice/importer-%i.json',
        'ExecStart=/usr/bin/sluice importer --config /etc/sluice/importer-%i.json',
        'StateDirectory=sluice/importer-%i',
        // What the first one knows is none of its business.
        'InaccessiblePaths=-/var/lib/sluice/importer',
      ]);
    });

    it('link has no network but the socket that it is handed', () => {
      const link = settings('sluice-link.service');
      expect(link.get('PrivateNetwork')).toEqual(['yes']);
      expect(link.get('RestrictAddressFamilies')).toEqual(['AF_UNIX']);
      expect(settings('sluice-link.socket').get('FileDescriptorName')).toEqual(['link']);
    });

    describe.skipIf(rootless !== undefined)(
      `users and directories${rootless === undefined ? '' : `: ${rootless}`}`,
      () => {
        let owners: Map<string, string>;

        beforeAll(() => {
          for (const [folder, program] of [
            ['sysusers.d', 'systemd-sysusers'],
            ['tmpfiles.d', 'systemd-tmpfiles'],
          ] as const) {
            const target = join(root, 'usr/lib', folder);
            mkdirSync(target, { recursive: true });
            const files = readdirSync(join(REPOSITORY, 'deploy', folder)).sort();
            for (const file of files) copyFileSync(join(REPOSITORY, 'deploy', folder, file), join(target, file));
            const create = program === 'systemd-tmpfiles' ? ['--create'] : [];
            const { status, said } = tool(program, `--root=${root}`, ...create, ...files);
            expect([status, said.split('\n').filter((line) => !line.startsWith('Creating '))]).toEqual([0, ['']]);
          }
          const names = (file: string): Map<number, string> =>
            new Map(
              readFileSync(join(root, 'etc', file), 'utf8')
                .trim()
                .split('\n')
                .map((line) => [Number(line.split(':')[2]), line.split(':')[0] ?? '']),
            );
          const [users, groups] = [names('passwd'), names('group')];
          owners = new Map();
          for (const path of readdirSync(join(root, 'var/lib/sluice'), { recursive: true, encoding: 'utf8' })) {
            const { mode, uid, gid } = lstatSync(join(root, 'var/lib/sluice', path));
            owners.set(path, `${(mode & 0o7777).toString(8)} ${users.get(uid) ?? uid} ${groups.get(gid) ?? gid}`);
          }
        });

        it('are made by sysusers.d and tmpfiles.d', () => {
          expect(Object.fromEntries([...owners].sort())).toEqual({
            chunks: '2770 sluice-link sluice-spool',
            files: '755 sluice-importer sluice-importer',
            inbox: '750 sluice-sender sluice-inbox',
            'inbox/prod': '3770 sluice-sender sluice-inbox',
            quarantine: '750 sluice-receiver sluice-receiver',
            refused: '2750 sluice-sender sluice-inbox',
            spool: '2770 sluice-link sluice-spool',
            store: '2770 sluice-receiver sluice-store',
            'store/blobs': '2770 sluice-receiver sluice-store',
            'store/blobs/sha256': '2770 sluice-receiver sluice-store',
            'store/tmp': '2770 sluice-receiver sluice-store',
          });
        });

        it('are those that the units name', () => {
          const passwd = readFileSync(join(root, 'etc/passwd'), 'utf8');
          const group = readFileSync(join(root, 'etc/group'), 'utf8');
          for (const unit of services) {
            const found = settings(unit);
            for (const user of found.get('User') ?? []) expect(passwd).toContain(`${user}:x:`);
            for (const name of found.get('SupplementaryGroups')?.[0]?.split(' ') ?? [])
              expect(group).toContain(`${name}:x:`);
            for (const path of found.get('ReadWritePaths') ?? [])
              expect(lstatSync(join(root, path)).isDirectory()).toBe(true);
            for (const credential of found.get('LoadCredential') ?? []) {
              expect(lstatSync(join(root, credential.slice('key:'.length))).mode & 0o777).toBe(0o700);
            }
          }
        });
      },
    );
  },
);
