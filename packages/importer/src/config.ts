import {
  array,
  boolean,
  duration,
  type Infer,
  object,
  optional,
  path,
  record,
  secretFile,
  string,
  url,
  withDefault,
} from '@sluice/base';
import { httpConfig, ledgerConfig } from '@sluice/chassis';
import { channelsConfig, controlConfig, redisConfig, storeConfig, trustConfig } from '@sluice/policy';
import { loadSigner } from '@sluice/trust';

const NAME = { pattern: /^[a-z0-9][a-z0-9-]{0,31}$/, words: 'lower-case letters, digits and hyphens, at most 32' };

const server = {
  url: url('base address'),
  username: string('full account name, a robot account with its prefix'),
  passwordFile: secretFile('its password'),
  caFile: optional(path('certificate authority of the server, PEM')),
  tokenHosts: withDefault(
    array('further hosts (name:port) to which the password may go for a token', string('name:port')),
    [],
  ),
};

export const importerConfig = object('sluice importer: from the store into Harbor', {
  stateDirectory: path('record of what was imported; private'),
  http: httpConfig(9183),
  channels: channelsConfig('channels; checked here again, whatever the receiver decided'),
  trust: optional(trustConfig),
  control: optional(controlConfig),
  store: storeConfig,
  redis: redisConfig,
  harbor: object('Harbor of the site that is imported into', { site: string('name of the site', NAME), ...server }),
  replicationPolicies: withDefault(
    array('replication policies of Harbor, run after each import in this order', string('name'), { max: 64 }),
    [],
  ),
  sites: withDefault(
    array(
      'destinations of the replication, where every digest is compared',
      object('a site', { name: string('name of the site', NAME), ...server }),
      { max: 64 },
    ),
    [],
  ),
  projects: withDefault(
    object('projects in Harbor', {
      create: withDefault(boolean('create a project that is missing'), true),
      metadata: withDefault(
        record(
          'metadata of a created project, as Harbor has it',
          { pattern: /^[a-z_]{1,64}$/, words: 'lower-case letters and underscores' },
          string('value, also "true" and "false"'),
        ),
        { public: 'false' },
      ),
    }),
    {},
  ),
  files: optional(
    object('where file artifacts go', { directory: path('directory; paths of the release are below it') }),
  ),
  receiptKeyFile: secretFile('private key that signs receipts, PEM', loadSigner),
  replicationDeadline: withDefault(duration('longest run of one replication policy', { min: 1000 }), '6h'),
  replicationPoll: withDefault(duration('how often a running replication is looked at', { min: 1 }), '1s'),
  ledger: ledgerConfig(loadSigner),
  takeover: withDefault(
    duration('the job of an importer that died is taken up by another after this', { min: 500 }),
    '15s',
  ),
  retry: withDefault(
    object('waits between attempts; they double up to the longest', {
      transientFirst: withDefault(duration('first wait after a failure that mends itself', { min: 1 }), '1s'),
      transientMax: withDefault(duration('longest of these', { min: 1 }), '1min'),
      operatorFirst: withDefault(duration('first wait after a failure that needs a person', { min: 1 }), '30s'),
      operatorMax: withDefault(duration('longest of these', { min: 1 }), '5min'),
    }),
    {},
  ),
});

export type ImporterConfig = Infer<typeof importerConfig>;
