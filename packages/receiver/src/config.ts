import {
  array,
  bytes,
  checked,
  duration,
  type Infer,
  integer,
  object,
  optional,
  path,
  type Schema,
  secretFile,
  string,
  withDefault,
} from '@sluice/base';
import { ENVELOPE_BYTES } from '@sluice/bundle';
import { httpConfig, ledgerConfig } from '@sluice/chassis';
import type { Digest } from '@sluice/ports';
import { loadSigner, loadTicketSigner } from '@sluice/trust';
import { channelsConfig, controlConfig, publicKeyFile, redisConfig, storeConfig, trustConfig } from '@sluice/policy';

const ticketsConfig = object('tickets, the only thing meant to go back; without this section there are none', {
  keyFile: secretFile('private Ed25519 key that signs tickets, PEM', loadTicketSigner),
  spoolDirectory: path('spool of link, read for the blocks that lack'),
  controlSocket: path('Unix socket of the control interface'),
  controlMode: withDefault(
    string('file mode of the control socket, octal', { pattern: /^0[0-7]{3}$/, words: 'such as 0660' }),
    '0660',
  ),
});

const canaryConfig = object('the bundle that comes again and again, by whose age the way is judged', {
  channel: string('channel that it comes by'),
  release: string('digest of its release envelope, the one release that may be published again and again', {
    pattern: /^sha256:[0-9a-f]{64}$/,
    words: 'sha256: and 64 hexadecimal digits, as "sluice release verify" prints it',
  }) as Schema<Digest>,
  site: optional(string('site at which its digest must be proven; without it those that its receipt has')),
  maxAge: withDefault(duration('it warns beyond this age', { min: 1000 }), '150min'),
});

const chunkLogConfig = object(
  'keeping of the chunk log that link writes: compressed, with a signed index; without this section link keeps it alone',
  {
    directory: path('chunkLog.directory of link'),
    keyFile: secretFile('private key that signs the index, PEM', loadSigner),
    totalBytes: withDefault(
      bytes('the oldest files go beyond this total; held ones do not count', { min: 1_048_576 }),
      '16GiB',
    ),
    reach: withDefault(duration('warn when replay reaches back less far', { min: 0 }), '7d'),
    every: withDefault(duration('time between looks for files that link has closed', { min: 100 }), '10s'),
  },
);

const receiverFields = object('sluice receiver: verifies, publishes and queues what link gathered', {
  stateDirectory: path('ledger; private'),
  quarantineDirectory: path('where refused bundles go, with their reason'),
  quarantineBundles: withDefault(integer('refused bundles kept', { min: 1, max: 100_000 }), 1000),
  quarantineBytes: withDefault(bytes('most bytes of them; the oldest go, the latest never does', { min: 1 }), '10GiB'),
  quarantineFor: withDefault(duration('refused bundles are kept for so long', { min: 3_600_000 }), '365d'),
  linkSocket: path('Unix socket on which link reports'),
  linkSocketMode: withDefault(
    string('file mode of that socket, octal', { pattern: /^0[0-7]{3}$/, words: 'such as 0660' }),
    '0660',
  ),
  link: optional(
    object('the link process, where systemd does not run it', {
      config: path('configuration file of sluice link'),
      host: withDefault(string('address of the diode interface'), '0.0.0.0'),
      port: integer('UDP port', { min: 1, max: 65535 }),
      receiveBuffer: withDefault(
        bytes('receive buffer asked of the kernel', { min: 65_536, max: 2 ** 31 - 1 }),
        '64MiB',
      ),
    }),
  ),
  http: httpConfig(9181),
  channels: channelsConfig('channels'),
  trust: optional(trustConfig),
  control: optional(controlConfig),
  store: storeConfig,
  redis: redisConfig,
  importerKeyFiles: array('public keys of the importers, which sign receipts', publicKeyFile('PEM file'), {
    min: 1,
    max: 64,
  }),
  gates: withDefault(
    array(
      'external commands that have a say before a bundle is published, in this order',
      object('a gate', {
        name: string('name for log and ledger'),
        command: array('program and arguments; no shell', string('word'), { min: 1, max: 64 }),
        timeout: withDefault(duration('it is ended, and refuses, after this', { min: 100 }), '10min'),
      }),
      { max: 16 },
    ),
    [],
  ),
  retention: withDefault(
    object('how long the blobs of bundles that are over stay in the store, and what gives way when there is no room', {
      importedFor: withDefault(duration('those of an imported bundle', { min: 0 }), '30d'),
      failedFor: withDefault(duration('those of a bundle that an importer gave up', { min: 0 }), '90d'),
      storeBytes: withDefault(bytes('beyond this the oldest imported bundles go, however young', { min: 1 }), '1TiB'),
      stalledFor: withDefault(
        duration('a bundle of which nothing came for so long gives its room to one that waits', { min: 1000 }),
        '1d',
      ),
    }),
    {},
  ),
  ledger: ledgerConfig(loadSigner),
  tickets: optional(ticketsConfig),
  canary: optional(canaryConfig),
  chunkLog: optional(chunkLogConfig),
  linkQuietAfter: withDefault(
    duration('without an authentic heartbeat for this long the link counts as down', { min: 1000 }),
    '10s',
  ),
  health: withDefault(
    object('when the health checks warn', {
      cveDatabaseAge: withDefault(duration('age of the oldest CVE database, by its version', { min: 0 }), '72h'),
      queueAge: withDefault(duration('time that a published bundle waits for its receipt', { min: 0 }), '1h'),
      fecMargin: withDefault(integer('symbols to spare of repaired objects', { min: 0, max: 254 }), 0),
      diskFree: withDefault(bytes('room on a disk; a tenth of it is a failure'), '1GiB'),
    }),
    {},
  ),
  limits: withDefault(
    object('named limits', {
      statementBytes: withDefault(bytes('largest statement envelope', { min: 4096, max: ENVELOPE_BYTES }), '96MiB'),
    }),
    {},
  ),
});

export const receiverConfig = checked(receiverFields, ({ canary, channels }) =>
  canary === undefined || channels.some(({ name }) => name === canary.channel)
    ? undefined
    : `has a canary of channel "${canary.channel}", which is not among its channels; name one that is.`,
);

export type ReceiverConfig = Infer<typeof receiverConfig>;
