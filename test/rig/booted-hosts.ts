import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Side } from '../../deploy/release/sides.ts';
import type { Ports } from '../world/world.ts';
import { INTERFACE, ISOLATED_ADDRESS } from './diode.ts';
import type { Machine } from './machine.ts';

export const REPOSITORY = join(import.meta.dirname, '../..');
export const MUTE_UNIT = `sluice-mute@${INTERFACE}.service`;

export const debName = (side: Side, version: string): string => `sluice-${side}_${version}_amd64.deb`;

/** The package of the first version once more, as the second: `dir/VERSION/DEB`. */
export function successor(side: Side, [first, second]: readonly [string, string], dir: string): void {
  const tree = join(dir, `next-${side}`);
  execFileSync('dpkg-deb', ['--raw-extract', join(dir, first, debName(side, first)), tree]);
  const control = join(tree, 'DEBIAN/control');
  writeFileSync(control, readFileSync(control, 'utf8').replace(`Version: ${first}`, `Version: ${second}`));
  mkdirSync(join(dir, second), { recursive: true });
  const words = ['--root-owner-group', '-Znone', '--build', tree, join(dir, second, debName(side, second))];
  execFileSync('dpkg-deb', words, { stdio: 'pipe' });
}

export interface Hosts {
  readonly staging: Machine;
  readonly isolated: Machine;
  /** Directory of the keys that the test made. */
  readonly keys: string;
  readonly ports: Ports;
}

type Config = Record<string, unknown>;

const example = (daemon: string): Config =>
  JSON.parse(readFileSync(join(REPOSITORY, 'deploy/examples', `${daemon}.json`), 'utf8')) as Config;
const firstChannel = (config: Config): Config => (config.channels as Config[])[0] ?? {};

/** The examples as they are, but for addresses and the one key of a test that signs releases. */
function configs(ports: Ports): Readonly<Record<'sender' | 'link' | 'receiver' | 'importer', Config>> {
  const [sender, receiver, importer] = [example('sender'), example('receiver'), example('importer')];
  delete firstChannel(sender).s3;
  Object.assign(sender.link as object, { host: ISOLATED_ADDRESS });
  Object.assign(sender, { carousel: { passes: 1 } });
  for (const config of [receiver, importer]) {
    const release = { releaseKeyFiles: ['/etc/sluice/trust/release.pub.pem'], releaseSignatures: 1 };
    Object.assign(firstChannel(config), { ...release, repositories: ['**'], paths: ['**'] });
    config.redis = { url: 'redis://127.0.0.1:6379' };
  }
  const site = (port: number): object => ({
    url: `http://127.0.0.1:${String(port)}`,
    username: 'admin',
    caFile: undefined,
  });
  Object.assign(importer.harbor as object, site(ports.harborA));
  Object.assign((importer.sites as object[])[0] ?? {}, site(ports.harborB));
  importer.replicationPolicies = ['to-b'];
  return { sender, link: example('link'), receiver, importer };
}

/** Keys and configurations, as a person puts them there after the installation. */
export function configure({ staging, isolated, keys, ports }: Hosts): void {
  const { sender, ...others } = configs(ports);
  writeFileSync(join(staging.root, 'etc/sluice/sender.json'), JSON.stringify(sender));
  for (const [daemon, config] of Object.entries(others))
    writeFileSync(join(isolated.root, 'etc/sluice', `${daemon}.json`), JSON.stringify(config));
  for (const [machine, to, from] of [
    [staging, 'sender/prod.link', 'link.key'],
    [staging, 'sender/prod.transport.key.pem', 'transport.key.pem'],
    [isolated, 'link/prod.link', 'link.key'],
    [isolated, 'importer/harbor.site-a.password', 'harbor.password'],
    [isolated, 'importer/harbor.site-b.password', 'harbor.password'],
    [isolated, 'importer/receipt.key.pem', 'receipt.key.pem'],
  ] as const) {
    const file = join(machine.root, 'etc/sluice/keys', to);
    cpSync(join(keys, from), file);
    chmodSync(file, 0o600);
  }
  for (const [to, from] of [
    ['prod.transport.pub.pem', 'transport.pub.pem'],
    ['release.pub.pem', 'release.pub.pem'],
    ['receipt.pub.pem', 'receipt.pub.pem'],
  ] as const)
    cpSync(join(keys, from), join(isolated.root, 'etc/sluice/trust', to));
  dropIns(isolated);
}

/** Where a container is not a host, and where a test would wait for too long. */
function dropIns(isolated: Machine): void {
  const system = join(isolated.root, 'etc/systemd/system');
  // The watchdog of half a minute, sooner.
  mkdirSync(join(system, 'sluice-link.service.d'));
  writeFileSync(join(system, 'sluice-link.service.d/soon.conf'), '[Service]\nWatchdogSec=6s\n');
  // No udev runs in a container, so there are no device units to wait for.
  const mute = readFileSync(join(REPOSITORY, 'systemd/sluice-mute@.service'), 'utf8');
  const without = mute
    .replace(/^BindsTo=.*\n/m, '')
    .replace('sys-subsystem-net-devices-%i.device ', '')
    .replace(/^WantedBy=sys-.*\n/m, '');
  writeFileSync(join(system, 'sluice-mute@.service'), without);
  mkdirSync(join(system, 'multi-user.target.wants'), { recursive: true });
  execFileSync('ln', ['-s', '../sluice-mute@.service', join(system, 'multi-user.target.wants', MUTE_UNIT)]);
}
