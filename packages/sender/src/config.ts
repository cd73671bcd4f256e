import {
  array,
  bytes,
  checked,
  duration,
  faultOf,
  type Infer,
  integer,
  noTwins,
  object,
  oneOf,
  optional,
  path,
  rate,
  readKeyFile,
  secretFile,
  string,
  union,
  url,
  withDefault,
} from '@sluice/base';
import { cronExpression, httpConfig, ledgerConfig } from '@sluice/chassis';
import { loadSigner, loadTicketVerifier, parseLinkKey } from '@sluice/trust';

const CHANNEL = { pattern: /^[a-z0-9][a-z0-9-]{0,31}$/, words: 'lower-case letters, digits and hyphens, at most 32' };

const s3Source = object('bundles put under an S3 prefix', {
  endpoint: url('S3 endpoint'),
  bucket: string('bucket'),
  prefix: checked(string('prefix, ends with /'), (prefix) =>
    prefix.endsWith('/') ? undefined : 'must end with "/"; add it.',
  ),
  region: withDefault(string('region'), 'us-east-1'),
  accessKeyIdFile: secretFile('access key id'),
  secretAccessKeyFile: secretFile('secret access key'),
  schedule: withDefault(cronExpression('when the prefix is looked at'), '* * * * *'),
});

/** A public key, looked at while the configuration is loaded. */
const ticketKey = checked(path('PEM file'), (file) => {
  const what = faultOf(() => readKeyFile(file, loadTicketVerifier));
  return what === undefined ? undefined : `is wrong: ${what}`;
});

const channelConfig = object('one lane with its own keys and sequence', {
  name: string('name of the channel, the same on both sides', CHANNEL),
  asid: integer('which key a datagram names, the same on both sides', { min: 0, max: 15 }),
  algorithm: withDefault(oneOf('tag algorithm', ['HMAC-SHA-256-128', 'AES-256-GMAC']), 'HMAC-SHA-256-128'),
  linkKeyFile: secretFile('link key: 64 hexadecimal digits', parseLinkKey),
  nextLinkKey: optional(
    object('the link key to go on with when "sluice keys switch" says so', {
      asid: integer('which key a datagram names then', { min: 0, max: 15 }),
      algorithm: withDefault(oneOf('tag algorithm', ['HMAC-SHA-256-128', 'AES-256-GMAC']), 'HMAC-SHA-256-128'),
      linkKeyFile: secretFile('link key: 64 hexadecimal digits', parseLinkKey),
    }),
  ),
  transportKeyFile: secretFile('private key of the transport statements, PEM', loadSigner),
  priority: withDefault(integer('its passes leave before those of channels with a lower one', { min: 0, max: 9 }), 0),
  ticketKeyFiles: withDefault(
    array('public Ed25519 keys whose tickets are served; without any there are none', ticketKey, { max: 4 }),
    [],
  ),
  inbox: optional(path('directory into which bundles are renamed')),
  s3: optional(s3Source),
});

export type ChannelConfig = Infer<typeof channelConfig>;

/** No two keys may go by one number. */
function nextAsidFault(channels: readonly ChannelConfig[]): string | undefined {
  const taken = channels.flatMap(({ asid, nextLinkKey }) =>
    nextLinkKey === undefined ? [asid] : [asid, nextLinkKey.asid],
  );
  const twice = taken.find((asid, i) => taken.indexOf(asid) !== i);
  return twice === undefined
    ? undefined
    : `have asid ${String(twice)} twice, one of them in nextLinkKey; choose another.`;
}

/** A heartbeat must fit in one symbol (PROTOCOL.md section 7). */
const SYMBOL_LEAST = 256;

const canaryConfig = object(
  'a small bundle that is sent again and again, so that its age tells whether the way is open',
  {
    channel: string('channel that it goes by', CHANNEL),
    directory: path('the bundle: release.dsse.json, signed once, and its contents'),
    schedule: withDefault(cronExpression('when it is sent'), '0 * * * *'),
  },
);

const senderFields = object('sluice sender: the staging side', {
  stateDirectory: path('ledger, staging store and work area; private'),
  refusedDirectory: path('where refused input goes, with its reason'),
  controlSocket: path('Unix socket of the control interface'),
  controlMode: withDefault(
    string('file mode of the control socket, octal', { pattern: /^0[0-7]{3}$/, words: 'such as 0660' }),
    '0660',
  ),
  controlUsers: optional(
    array('user ids that may use it, besides root; whoever may open it without this', integer('user id'), { max: 64 }),
  ),
  http: httpConfig(9180),
  link: object('the one-way link', {
    host: string('address of the isolated side'),
    port: integer('UDP port', { min: 1, max: 65535 }),
    io: withDefault(
      oneOf('how the socket is written: native calls in batches, or node:dgram', ['auto', 'native', 'portable']),
      'auto',
    ),
    rate: optional(rate('hard ceiling in Ethernet bits per second; without it there is none', { min: 1_000_000 })),
    symbolBytes: withDefault(
      checked(integer('E: bytes of an encoding symbol, a multiple of 16', { min: SYMBOL_LEAST, max: 8896 }), (e) =>
        e % 16 === 0 ? undefined : `is ${String(e)}, which is no multiple of 16; take ${String(e - (e % 16))}.`,
      ),
      1408,
    ),
    outageSurvived: withDefault(
      duration('interleaving: length of an outage that costs at most half the repair', { min: 0, max: 1000 }),
      '20ms',
    ),
    groupBytes: withDefault(
      bytes('most bytes of datagrams interleaved together; two such groups are held', { min: 1_048_576, max: 2 ** 30 }),
      '64MiB',
    ),
    statementLead: withDefault(
      duration('between the statements and the first blob, at least', { min: 0, max: 60_000 }),
      '250ms',
    ),
    fec: withDefault(
      checked(
        union('FEC profile', 'profile', {
          robust: {},
          fast: {},
          explicit: {
            maxBlock: integer('k of a full block', { min: 1, max: 250 }),
            repair: integer('m of a full block', { min: 1, max: 254 }),
          },
        }),
        (fec) =>
          fec.profile === 'explicit' && fec.maxBlock + fec.repair > 255
            ? 'has more than 255 symbols in a block; make maxBlock or repair smaller.'
            : undefined,
      ),
      { profile: 'robust' },
    ),
  }),
  carousel: withDefault(
    object('how often each bundle is sent', {
      passes: withDefault(integer('full passes of each bundle', { min: 1, max: 100 }), 2),
      gap: withDefault(
        duration(
          'between the end of one pass and the start of the next; it doubles after the full passes, up to a day',
          {
            min: 0,
            max: 86_400_000,
          },
        ),
        '10min',
      ),
      topUps: withDefault(integer('passes of repair symbols alone after them', { min: 0, max: 100 }), 2),
      timeToLive: withDefault(
        integer('how many bundles later a bundle is sent no more, and its tickets are refused', {
          min: 1,
          max: 100_000,
        }),
        100,
      ),
    }),
    {},
  ),
  tickets: withDefault(
    object('how tickets are served', {
      again: withDefault(duration('a ticket that was served is not served again before', { min: 0 }), '1min'),
      waiting: withDefault(integer('repairs that may wait for their turn', { min: 1, max: 1000 }), 16),
    }),
    {},
  ),
  retention: withDefault(
    object('how long the content of a bundle past its time to live stays in the staging store', {
      storeFor: withDefault(duration('since it was sealed', { min: 0 }), '30d'),
      storeBytes: withDefault(bytes('beyond this the oldest of them go, however young', { min: 1 }), '256GiB'),
    }),
    {},
  ),
  ledger: ledgerConfig(loadSigner),
  heartbeat: withDefault(duration('how often each channel says that it lives', { min: 100, max: 60_000 }), '1s'),
  channels: checked(
    array('channels', channelConfig, { min: 1, max: 16 }),
    (channels) =>
      noTwins<ChannelConfig>('name', ({ name }) => name)(channels) ??
      noTwins<ChannelConfig>('asid', ({ asid }) => asid)(channels) ??
      nextAsidFault(channels) ??
      noTwins<ChannelConfig>('inbox', ({ inbox }) => inbox)(channels),
  ),
  canary: optional(canaryConfig),
  health: withDefault(
    object('when the health checks warn', {
      queueAge: withDefault(duration('time from the seal of a bundle to the end of its first pass', { min: 0 }), '1h'),
      diskFree: withDefault(bytes('room on the disk of the state directory; a tenth of it is a failure'), '1GiB'),
    }),
    {},
  ),
  limits: withDefault(
    object('named limits', {
      bundleBytes: withDefault(bytes('most content of one bundle', { min: 1 }), '64GiB'),
      bundleEntries: withDefault(integer('most files of one bundle', { min: 1, max: 1_000_000 }), 200_000),
      queuedBundles: withDefault(integer('bundles waiting for their first pass', { min: 1, max: 100_000 }), 1000),
    }),
    {},
  ),
});

export const senderConfig = checked(senderFields, ({ canary, channels }) =>
  canary === undefined || channels.some(({ name }) => name === canary.channel)
    ? undefined
    : `has a canary of channel "${canary.channel}", which is not among its channels; name one that is.`,
);

export type SenderConfig = Infer<typeof senderConfig>;
