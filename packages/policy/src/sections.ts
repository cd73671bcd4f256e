import {
  array,
  bytes,
  checked,
  faultOf,
  type Infer,
  integer,
  object,
  oneOf,
  optional,
  path,
  type Schema,
  secretFile,
  string,
  union,
  url,
  withDefault,
} from '@sluice/base';
import { openChannels, readVerifier } from './open.ts';

const CHANNEL = { pattern: /^[a-z0-9][a-z0-9-]{0,31}$/, words: 'lower-case letters, digits and hyphens, at most 32' };

/** Where published blobs lie: a directory, or a bucket of an S3 service. */
export const storeConfig = union('content-addressed store of published blobs', 'type', {
  fs: { directory: path('root of the store, on the file system of the spool so that blobs are renamed, not copied') },
  s3: {
    endpoint: url('S3 endpoint'),
    bucket: string('bucket'),
    prefix: withDefault(string('prefix of all keys', { min: 0 }), ''),
    region: withDefault(string('region'), 'us-east-1'),
    accessKeyIdFile: secretFile('access key id'),
    secretAccessKeyFile: secretFile('secret access key'),
  },
});

/** A public key, looked at while the configuration is loaded. */
export const publicKeyFile = (about: string): Schema<string> =>
  checked(path(about), (file) => {
    const what = faultOf(() => readVerifier(file));
    return what === undefined ? undefined : `is wrong: ${what}`;
  });

/** What one channel lets in, and whose signatures it believes. The importer has the same section and checks again. */
export const channelPolicyConfig = object('policy of one channel; nothing here has a default', {
  name: string('name of the channel, the same on both sides', CHANNEL),
  transportKeyFiles: array('public keys of the sender, PEM', publicKeyFile('PEM file'), { min: 1, max: 16 }),
  releaseKeyFiles: array('public keys that may approve releases, PEM', publicKeyFile('PEM file'), { min: 0, max: 64 }),
  releaseSignatures: integer('different release keys that must have signed; 0 is for a lab', { min: 0, max: 16 }),
  types: array('artifact types let in', oneOf('type', ['image', 'chart', 'cve-db', 'git', 'file']), { min: 1, max: 5 }),
  repositories: array('globs of repositories let in', string('glob'), { min: 0, max: 256 }),
  paths: array('globs of file paths let in', string('glob'), { min: 0, max: 256 }),
  maxBytes: bytes('largest bundle', { min: 1 }),
  maxArtifacts: integer('most artifacts in a bundle', { min: 1, max: 500_000 }),
  versioned: withDefault(
    array(
      'types that must have a version that grows, besides cve-db and git: an older release cannot bring them back',
      oneOf('type', ['image', 'chart', 'file']),
      { max: 3 },
    ),
    [],
  ),
});

/** Who may bring in other keys than the configuration names. */
export const trustConfig = object('who may sign trust policies; without it a policy is taken by its digest alone', {
  rootKeyFiles: array('public keys of the offline root, PEM', publicKeyFile('PEM file'), { min: 1, max: 8 }),
  personKeyFiles: array('public keys of the persons, PEM', publicKeyFile('PEM file'), { min: 2, max: 32 }),
  persons: withDefault(integer('different persons who must have signed, beside a root', { min: 2, max: 16 }), 2),
});

/** The control socket, and who may use it. */
export const controlConfig = object('control socket: keys, policies, pause, quarantine; without it there is none', {
  socket: path('Unix socket'),
  mode: withDefault(string('its file mode, octal', { pattern: /^0[0-7]{3}$/, words: 'such as 0660' }), '0660'),
  users: optional(
    array('user ids that may, besides root; whoever may open the socket without it', integer('user id'), { max: 64 }),
  ),
  io: withDefault(oneOf('how it is found out who asks: by a native call, or not at all', ['auto', 'portable']), 'auto'),
});

/** The channels, with keys that fit their policies. */
export const channelsConfig = (about: string) =>
  checked(array(about, channelPolicyConfig, { min: 1, max: 16 }), (channels) => {
    const what = faultOf(() => openChannels(channels));
    return what === undefined ? undefined : `are wrong: ${what}`;
  });

export const redisConfig = object('Redis of the import queue; not trusted', {
  url: url('redis:// or rediss:// address', ['redis:', 'rediss:']),
  passwordFile: optional(secretFile('password')),
});

export type TrustConfig = Infer<typeof trustConfig>;
export type ControlConfig = Infer<typeof controlConfig>;
export type StoreConfig = Infer<typeof storeConfig>;
export type ChannelPolicyConfig = Infer<typeof channelPolicyConfig>;
