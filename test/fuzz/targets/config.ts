// The configurations of the daemons, and the policy of channels alone. The first byte says whose the rest is. Keys and secrets
// lie beside the configuration, in keys/.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOfConfig, object, parseConfig, type Schema } from '../../../packages/base/src/config/index.ts';
import { importerConfig } from '../../../packages/importer/src/config.ts';
import { linkConfig } from '../../../packages/link/src/config.ts';
import { CONFIG_CODES, OperationalError } from '../../../packages/ports/src/index.ts';
import { channelsConfig } from '../../../packages/policy/src/sections.ts';
import { receiverConfig } from '../../../packages/receiver/src/config.ts';
import { senderConfig } from '../../../packages/sender/src/config.ts';
import { makeKeyPair } from '../../../packages/trust/src/signing.ts';
import { daemonConfigs } from '../../world/configs.ts';
import { type FuzzTarget, check, joined, utf8 } from '../target.ts';

const SCHEMAS: readonly Schema<unknown>[] = [
  linkConfig,
  senderConfig,
  receiverConfig,
  importerConfig,
  object('policy', { channels: channelsConfig('channels') }),
];

const directory = mkdtempSync(join(tmpdir(), 'sluice-fuzz-config-'));
process.once('exit', () => rmSync(directory, { recursive: true }));
mkdirSync(join(directory, 'keys'));
const place = (name: string, text: string, mode = 0o600): void =>
  writeFileSync(join(directory, 'keys', name), text, { mode });
for (const name of ['transport', 'release', 'receipt', 'ticket']) {
  const { privatePem, publicPem } = makeKeyPair('Ed25519');
  place(`${name}.key.pem`, privatePem);
  place(`${name}.pub.pem`, publicPem);
}
place('link.key', 'ab'.repeat(32));
place('harbor.password', 'x');
place('open', 'x', 0o604);
place('empty', '');
place('large', 'x'.repeat(65_537));

const file = join(directory, 'config.json');
const env = { CREDENTIALS_DIRECTORY: join(directory, 'keys') };
/** Set in the first byte when there are no credentials. */
const BARE = 0x80;

/** The configuration, or undefined when it is refused as one is. */
function parsed(text: string, schema: Schema<unknown>, bare: boolean): unknown {
  try {
    return parseConfig(text, schema, { file, env: bare ? {} : env });
  } catch (error) {
    const coded = error instanceof OperationalError && CONFIG_CODES.some((code) => code === error.code);
    if (!coded) throw error;
    check(
      error.message.startsWith(`${file}: `) && !error.retryable,
      `a refusal that does not name the file: ${error.message}`,
    );
    return undefined;
  }
}

function run(input: Uint8Array): void {
  const way = input[0] ?? 0;
  const schema = SCHEMAS[(way & ~BARE) % SCHEMAS.length] ?? linkConfig;
  const bare = (way & BARE) !== 0;
  const text = new TextDecoder().decode(input.subarray(1));
  const config = parsed(text, schema, bare);
  if (config === undefined) return;
  check(typeof config === 'object' && config !== null, 'a configuration that is no object');
  check(Object.getPrototypeOf(config) === Object.prototype, 'a configuration with a prototype of its own');
  check(
    digestOfConfig(parsed(text, schema, bare)) === digestOfConfig(config),
    'two readings of one configuration differ',
  );
}

const policy = {
  name: 'prod',
  transportKeyFiles: ['keys/transport.pub.pem'],
  releaseKeyFiles: ['keys/release.pub.pem'],
  releaseSignatures: 1,
  types: ['image'],
  repositories: ['**'],
  paths: [],
  maxBytes: '4GiB',
  maxArtifacts: 9,
};
const ports = { link: 4433, redis: 1, senderHttp: 0, receiverHttp: 0, importerHttp: 0, harborA: 1, harborB: 1 };
const good = daemonConfigs('', ports, { host: '127.0.0.1', port: 4433 });
const [senderChannel] = good.sender.channels;
const s3 = {
  ...{ type: 's3', endpoint: 'https://s3', bucket: 'b', prefix: 'p/', region: 'r' },
  ...{ accessKeyIdFile: 'keys/harbor.password', secretAccessKeyFile: '${CREDENTIALS_DIRECTORY}/harbor.password' },
};
const tls = { certFile: 'c', keyFile: 'keys/harbor.password', clientCaFile: 'a' };

/** Configurations by schema: good ones, and each with something wrong. */
const CONFIGS: readonly (readonly [schema: number, config: unknown])[] = [
  [0, good.link],
  [0, { ...good.link, keys: [...good.link.keys, ...good.link.keys] }],
  [0, { ...good.link, keys: [{ ...good.link.keys[0], keyFile: 'keys/harbor.password' }] }],
  [0, { ...good.link, keys: [{ ...good.link.keys[0], keyFile: 'keys/open' }] }],
  [0, { ...good.link, keys: [{ ...good.link.keys[0], keyFile: 'keys/empty' }] }],
  [0, { ...good.link, keys: [{ ...good.link.keys[0], keyFile: 'keys/large' }] }],
  [0, { ...good.link, keys: [{ ...good.link.keys[0], keyFile: 'keys' }] }],
  [0, { ...good.link, keys: [{ ...good.link.keys[0], keyFile: 'keys/gone' }] }],
  [0, { ...good.link, chunkLog: { mode: 'full' }, limits: {} }],
  [0, { ...good.link, chunkLog: { fileBytes: '1GiB', totalBytes: '1.5 GB' }, limits: { objects: 17.5 } }],
  [0, { ...good.link, spooldirectory: '/x' }],
  [0, { ...good.link, spoolDirectory: '' }],
  [0, { ...good.link, spoolDirectory: '${HOME}/x' }],
  [0, { ...good.link, spoolDirectory: '${CREDENTIALS_DIRECTORY}/../x' }],
  [0, { ...good.link, spoolDirectory: '${CREDENTIALS_DIRECTORY}/x', io: 'natives' }],
  [0, { ...good.link, io: 7, keys: {} }],
  [0, { ...good.link, keys: [] }],
  [0, { ...good.link, keys: Array.from({ length: 17 }, () => 1) }],
  [0, []],
  [1, good.sender],
  [1, { ...good.sender, link: { ...good.sender.link, fec: { profile: 'explicit', maxBlock: 200, repair: 60 } } }],
  [1, { ...good.sender, link: { ...good.sender.link, fec: { profile: 'other' }, symbolBytes: 257 } }],
  [1, { ...good.sender, link: { ...good.sender.link, fec: {}, rate: '1 Gbit/s' } }],
  [1, { ...good.sender, link: { ...good.sender.link, symbolBytes: 257, rate: 'fast' } }],
  [1, { ...good.sender, channels: [senderChannel, senderChannel] }],
  [
    1,
    {
      ...good.sender,
      channels: [{ ...senderChannel, s3: { ...s3, type: undefined }, ticketKeyFiles: ['keys/ticket.pub.pem'] }],
    },
  ],
  [1, { ...good.sender, channels: [{ ...senderChannel, s3: { ...s3, type: undefined, schedule: '* *' } }] }],
  [1, { ...good.sender, channels: [{ ...senderChannel, ticketKeyFiles: ['keys/gone'] }] }],
  [1, { ...good.sender, channels: [{ ...senderChannel, ticketKeyFiles: ['keys/open'] }] }],
  [2, good.receiver],
  [
    2,
    {
      ...good.receiver,
      store: s3,
      tickets: { keyFile: 'keys/ticket.key.pem', spoolDirectory: 's', controlSocket: 'c' },
    },
  ],
  [2, { ...good.receiver, gates: [{ name: 'g', command: ['/bin/true'], timeout: '1.5s' }], health: { fecMargin: 3 } }],
  [2, { ...good.receiver, http: { host: '192.0.2.1', tls, linkInterface: 'lo' } }],
  [2, { ...good.receiver, http: { host: '192.0.2.1', tls, linkInterface: 'constructor' } }],
  [2, { ...good.receiver, http: { host: '192.0.2.1', tls, linkInterface: 'none0' } }],
  [2, { ...good.receiver, http: { host: '192.0.2.1', tls } }],
  [2, { ...good.receiver, http: { host: '0.0.0.0' } }],
  [2, { ...good.receiver, http: { host: 'example' } }],
  [2, { ...good.receiver, http: { host: '192.0.2.1' } }],
  [2, { ...good.receiver, importerKeyFiles: ['keys/gone'] }],
  [2, { ...good.receiver, importerKeyFiles: ['keys/open'] }],
  [2, { ...good.receiver, importerKeyFiles: ['keys'] }],
  [2, { ...good.receiver, redis: { url: 'redis://u:p@h' } }],
  [2, { ...good.receiver, redis: { url: 'nothing' } }],
  [3, good.importer],
  [3, { ...good.importer, projects: { create: 'yes' } }],
  [3, { ...good.importer, projects: { metadata: { Public: 'x' } } }],
  [3, { ...good.importer, projects: { metadata: { __proto__x: 'x', public: '' } } }],
  [4, { channels: [policy] }],
  [4, { channels: [{ ...policy, releaseSignatures: 2 }] }],
  [4, { channels: [{ ...policy, releaseKeyFiles: ['keys/transport.pub.pem'] }] }],
  [4, { channels: [policy, policy] }],
  [4, { channels: [{ ...policy, name: 'PROD' }] }],
  [4, { channels: [{ ...policy, types: ['images'] }] }],
  [4, { channels: [{ ...policy, maxBytes: '4 parsecs' }] }],
  [4, { channels: [{ ...policy, transportKeyFiles: [] }] }],
];

function* seeds(): Generator<Uint8Array> {
  for (const [schema, config] of CONFIGS) yield joined([schema], utf8(JSON.stringify(config)));
  yield joined([4], utf8('{"channels":[{"name":"a","name":"b"}],"a":[{"x":1}]}'));
  yield joined([4], utf8('{"channels":[],"channels":[]}'));
  yield joined([4], utf8('{"__proto__":1}'));
  yield joined([4], utf8('{'));
  const credential = '${CREDENTIALS_DIRECTORY}/link.key';
  yield joined([BARE], utf8(JSON.stringify({ ...good.link, keys: [{ ...good.link.keys[0], keyFile: credential }] })));
  yield joined([0], utf8(JSON.stringify({ ...good.link, keys: [{ ...good.link.keys[0], keyFile: credential }] })));
  yield joined([0], utf8(JSON.stringify({ ...good.link, listen: { host: 'x'.repeat(4097), port: 1 } })));
  yield joined([0], utf8(JSON.stringify({ ...good.link, listen: { host: 7, port: 1 } })));
  yield joined([3], utf8(JSON.stringify({ ...good.importer, projects: { metadata: [] } })));
}

export const target: FuzzTarget = {
  about: 'a configuration: read the same twice, or refused with the code and the sentence of a configuration',
  files: [
    ...['load', 'duplicates', 'place', 'schema', 'values', 'suggest', 'secret'].map(
      (name) => `packages/base/src/config/${name}.ts`,
    ),
    ...['link', 'sender', 'receiver', 'importer'].map((name) => `packages/${name}/src/config.ts`),
    ...['packages/policy/src/sections.ts', 'packages/chassis/src/http-config.ts'],
  ],
  // What reads the file, what prints the reference of a configuration, and what a secret does later.
  beside: [
    'loadConfig',
    'readText',
    'describeConfig',
    'rows',
    'rowsOf',
    'joined',
    'text',
    'bytes',
    'toJSON',
    'toString',
    '[inspect.custom]',
  ],
  bytesMax: 2048,
  words: [
    ...[
      '"channels":[',
      '"keyFile":"keys/link.key"',
      '"spoolDirectory":',
      '"stateDirectory":',
      '"receiverSocket":',
      '"limits":{',
    ],
    ...[
      '"chunkLog":{',
      '"mode":"full"',
      '"http":{',
      '"tls":{',
      '"linkInterface":',
      '"store":{"type":"fs"',
      '"type":"s3"',
    ],
    ...[
      '${CREDENTIALS_DIRECTORY}/',
      'keys/transport.pub.pem',
      '"64MiB"',
      '"250ms"',
      '"1Gbit/s"',
      '"__proto__":',
      '"constructor"',
    ],
  ],
  run,
  seeds,
};
