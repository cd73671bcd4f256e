import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jsonSchemaOf, loadConfig, type Schema } from '../../packages/base/src/index.ts';
import { importerConfig } from '../../packages/importer/src/index.ts';
import { linkConfig } from '../../packages/link/src/index.ts';
import { receiverConfig } from '../../packages/receiver/src/index.ts';
import { senderConfig } from '../../packages/sender/src/index.ts';
import { makeKeyPair } from '../../packages/trust/src/index.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const EXAMPLES = join(REPOSITORY, 'deploy/examples');
const TRUST = '/etc/sluice/trust/';
const CREDENTIAL = '${CREDENTIALS_DIRECTORY}/key_';
const DAEMONS = ['sender', 'link', 'receiver', 'importer'] as const;
type Daemon = (typeof DAEMONS)[number];

const read = (...path: string[]): string => readFileSync(join(REPOSITORY, ...path), 'utf8');
const exampleText = (daemon: Daemon): string => read('deploy/examples', `${daemon}.json`);

/** Every text of a configuration, as it stands in the file. */
const textsOf = (value: unknown): string[] => {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
};
const texts = (daemon: Daemon): string[] => [...new Set(textsOf(JSON.parse(exampleText(daemon))))].sort();
const secrets = (daemon: Daemon): string[] =>
  texts(daemon).flatMap((text) => (text.startsWith(CREDENTIAL) ? [text.slice(CREDENTIAL.length)] : []));
const trusted = (): string[] =>
  [...new Set(DAEMONS.flatMap(texts))].flatMap((text) => (text.startsWith(TRUST) ? [text.slice(TRUST.length)] : []));
/** What a daemon uses on disk and in /run. */
const places = (daemon: Daemon): string[] => texts(daemon).filter((text) => /^\/(var|run)\//.test(text));

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-examples-'));
  const keys = makeKeyPair('Ed25519');
  mkdirSync(join(root, 'trust'));
  // Each public key its own: one key under several names would count once.
  for (const name of trusted()) writeFileSync(join(root, 'trust', name), makeKeyPair('Ed25519').publicPem);
  for (const daemon of DAEMONS) {
    mkdirSync(join(root, daemon));
    for (const name of secrets(daemon)) {
      const text = name.endsWith('.pem') ? keys.privatePem : name.endsWith('.link') ? 'ab'.repeat(32) : 'secret';
      writeFileSync(join(root, daemon, `key_${name}`), text, { mode: 0o400 });
    }
  }
});
afterAll(() => {
  rmSync(root, { recursive: true });
});

/** The example as its daemon reads it, with keys below `root`. */
function load<T>(daemon: Daemon, schema: Schema<T>): T {
  const file = join(root, `${daemon}.json`);
  writeFileSync(file, exampleText(daemon).replaceAll(TRUST, `${root}/trust/`));
  return loadConfig(file, schema, { CREDENTIALS_DIRECTORY: join(root, daemon) });
}

const unit = (name: string): string[] => read('systemd', name).split('\n');
const setting = (name: string, key: string): string[] =>
  unit(name).flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []));

interface Directory {
  readonly path: string;
  readonly mode: number;
  readonly user: string;
  readonly group: string;
}
const directories = (daemon: Daemon): Directory[] =>
  read('deploy/tmpfiles.d', `sluice-${daemon === 'sender' ? 'staging' : 'isolated'}.conf`)
    .split('\n')
    .filter((line) => line.startsWith('d '))
    .map((line) => {
      const [, path = '', mode = '', user = '', group = ''] = line.split(/\s+/);
      return { path, mode: Number.parseInt(mode, 8), user, group };
    });

const isBelow = (path: string, directory: string): boolean => path === directory || path.startsWith(`${directory}/`);

/** True when the unit may write there and the directory's mode lets its user. */
function mayWrite(daemon: Daemon, path: string): boolean {
  const name = `sluice-${daemon}.service`;
  const [user = ''] = setting(name, 'User');
  const groups = setting(name, 'SupplementaryGroups').flatMap((line) => line.split(' '));
  const [state = ''] = setting(name, 'StateDirectory');
  if (isBelow(path, `/var/lib/${state}`)) return true;
  const open = setting(name, 'ReadWritePaths').some((each) => isBelow(path, each));
  const closed = setting(name, 'InaccessiblePaths').some((each) => isBelow(path, each.replace(/^-/, '')));
  const [directory] = directories(daemon)
    .filter((each) => isBelow(path, each.path))
    .sort((a, b) => b.path.length - a.path.length);
  if (directory === undefined || !open || closed) return false;
  if (directory.user === user) return (directory.mode & 0o200) !== 0;
  return groups.includes(directory.group) && (directory.mode & 0o020) !== 0;
}

describe('the example configurations', () => {
  it('are one for each daemon, with a page', () => {
    expect(readdirSync(EXAMPLES).sort()).toEqual(['README.md', ...DAEMONS.map((daemon) => `${daemon}.json`)].sort());
  });

  it.each(DAEMONS)(
    '%s.json is what its JSON Schema takes, and with a key too many or of another kind it is not',
    (daemon) => {
      const schemas = { sender: senderConfig, link: linkConfig, receiver: receiverConfig, importer: importerConfig };
      const isGood = new Ajv2020({ strict: true, strictRequired: false }).compile(jsonSchemaOf(schemas[daemon]));
      const example = JSON.parse(exampleText(daemon)) as Record<string, unknown>;
      expect([isGood(example), isGood.errors]).toEqual([true, null]);
      expect(isGood({ ...example, nothing: 1 })).toBe(false);
      expect(isGood({ ...example, stateDirectory: 7 })).toBe(false);
      Reflect.deleteProperty(example, 'stateDirectory');
      expect(isGood(example)).toBe(false);
    },
  );

  it('are what the daemons take, and agree with each other', () => {
    const sender = load('sender', senderConfig);
    const link = load('link', linkConfig);
    const receiver = load('receiver', receiverConfig);
    const importer = load('importer', importerConfig);
    const lane = ({ asid, algorithm }: { readonly asid: number; readonly algorithm: string }) => ({ asid, algorithm });
    expect(link.keys.map((key) => ({ name: key.channel, ...lane(key) }))).toEqual(
      sender.channels.map((channel) => ({ name: channel.name, ...lane(channel) })),
    );
    expect(receiver.channels.map(({ name }) => name)).toEqual(sender.channels.map(({ name }) => name));
    expect(importer.channels).toEqual(receiver.channels);
    expect(importer.store).toEqual(receiver.store);
    expect(importer.redis.url).toBe(receiver.redis.url);
    expect(link.receiverSocket).toBe(receiver.linkSocket);
    for (const { releaseSignatures } of receiver.channels) expect(releaseSignatures).toBeGreaterThan(0);
    const ports = [sender, receiver, importer].map(({ http }) => http.port);
    expect(new Set(ports).size).toBe(ports.length);
  });

  it('send to the port on which the socket unit listens', () => {
    const { link } = load('sender', senderConfig);
    expect(setting('sluice-link.socket', 'ListenDatagram')).toEqual([`0.0.0.0:${String(link.port)}`]);
    expect(load('link', linkConfig).listen).toBeUndefined();
    expect(load('receiver', receiverConfig).link).toBeUndefined();
  });

  it('submit goes to the socket of the example without being told', () => {
    expect(read('packages/cli/src/options.ts')).toContain(`'${load('sender', senderConfig).controlSocket}'`);
  });
});

describe.for(DAEMONS)('%s.json', (daemon) => {
  const name = `sluice-${daemon}.service`;

  it('lies where the unit looks for it', () => {
    expect(setting(name, 'ExecStart')).toEqual([`/usr/bin/sluice ${daemon} --config /etc/sluice/${daemon}.json`]);
  });

  it('names secrets as the unit hands them over, from a directory that tmpfiles.d makes', () => {
    expect(secrets(daemon).length).toBeGreaterThan(0);
    expect(texts(daemon).filter((text) => text.includes('CREDENTIALS_DIRECTORY'))).toHaveLength(secrets(daemon).length);
    expect(setting(name, 'LoadCredential')).toEqual([`key:/etc/sluice/keys/${daemon}`]);
    expect(directories(daemon).map(({ path }) => path)).toContain(`/etc/sluice/keys/${daemon}`);
  });

  it('names no place that the unit and tmpfiles.d do not open to it', () => {
    expect(places(daemon).length).toBeGreaterThan(0);
    // Link connects to the receiver's socket; the others write.
    const connects = daemon === 'link' ? ['/run/sluice/link/receiver.sock'] : [];
    for (const path of places(daemon))
      expect([path, connects.includes(path) || mayWrite(daemon, path)]).toEqual([path, true]);
  });

  it('is explained: each secret and key file is in the page', () => {
    const page = read('deploy/examples/README.md');
    for (const file of [...secrets(daemon), ...trusted()]) expect(page).toContain(`\`${file}\``);
  });
});

it('link comes through to the socket that it connects to', () => {
  const groups = setting('sluice-link.service', 'SupplementaryGroups').flatMap((line) => line.split(' '));
  const [directory] = directories('link').filter(({ path }) => path === '/run/sluice/link');
  expect(groups).toContain(directory?.group);
  expect((directory?.mode ?? 0) & 0o2050).toBe(0o2050);
});
