import { isDeepStrictEqual } from 'node:util';
import { importerConfig, type ImporterConfig } from '@sluice/importer';
import { linkConfig, type LinkConfig } from '@sluice/link';
import { receiverConfig, type ReceiverConfig } from '@sluice/receiver';
import { bufferFindings } from './buffers.ts';
import { loadEtc } from './etc.ts';
import { either, fail, type Finding, ok, unknown, warn } from './finding.ts';
import { certificateFindings, secretFindings, serverCertificate } from './keys.ts';
import { clockFindings, cpuFindings, diskFindings, runs } from './machine.ts';
import { interfaceFindings, isolationFindings, muteInterfaces } from './network.ts';
import { bucketFindings, harborFindings, redisFindings, robotFindings, statusOf } from './services.ts';

export interface ReceiverOptions {
  readonly etc: string;
  /** Of the diode; else the one that the configuration or a mute unit names. */
  readonly interface?: string;
  /** Bits a second on the link. */
  readonly rate: number;
  /** Milliseconds. */
  readonly pause: number;
  /** Digest that the sender's configuration should have. */
  readonly senderConfig?: string;
}

/** What is looked at of the receiver's own status. */
interface Status {
  readonly link?: { readonly receiveBuffer?: number };
  readonly channels?: readonly { readonly name: string; readonly heartbeat?: { readonly config?: string } }[];
}

/** Everything about an isolated host that can be seen from there. */
export async function examineReceiver(options: ReceiverOptions): Promise<Finding[]> {
  const { etc, rate, pause } = options;
  const receiver = loadEtc(etc, 'receiver', receiverConfig);
  const link = loadEtc(etc, 'link', linkConfig);
  const importer = loadEtc(etc, 'importer', importerConfig);
  const status = receiver.config === undefined ? undefined : await statusOf<Status>(receiver.config.http.port);
  return [
    ...(await cpuFindings()),
    ...clockFindings('receiver'),
    ...['link', 'receiver', 'importer'].flatMap((daemon) => secretFindings(etc, daemon)),
    ...[receiver, link, importer].map(({ finding }) => finding),
    ...agreement(receiver.config, link.config, importer.config),
    ...diode(options, receiver.config),
    ...bufferFindings({
      rate,
      pause,
      reported: status?.link?.receiveBuffer,
      asked: receiver.config?.link?.receiveBuffer,
    }),
    ...diskFindings(
      placesOf(receiver.config, link.config, importer.config),
      receiver.config?.health.diskFree ?? 2 ** 30,
    ),
    ...certificates(receiver.config, importer.config),
    ...(await services(receiver.config, importer.config)),
    ...(receiver.config === undefined ? [] : [runs('receiver', status !== undefined)]),
    ...drift(status, options.senderConfig),
  ];
}

function diode(options: ReceiverOptions, config: ReceiverConfig | undefined): Finding[] {
  const name = options.interface ?? config?.http.linkInterface ?? muteInterfaces()[0];
  if (name === undefined)
    return [
      unknown(
        'link:interface',
        'nothing says which interface is the diode; name it: --interface IFACE',
        'systemctl enable --now sluice-mute@IFACE.service',
      ),
    ];
  return [...interfaceFindings(name, 'receiver', undefined), ...isolationFindings(name)];
}

/** The three configurations of this side must tell one story. */
function agreement(receiver?: ReceiverConfig, link?: LinkConfig, importer?: ImporterConfig): Finding[] {
  const findings: Finding[] = [];
  const names = (channels: readonly string[]): string => [...new Set(channels)].sort().join(', ');
  if (receiver !== undefined && link !== undefined) {
    const [here, there] = [
      names(receiver.channels.map(({ name }) => name)),
      names(link.keys.map(({ channel }) => channel)),
    ];
    findings.push(
      either(here === there, ['config:channels', here], (check) =>
        fail(
          check,
          `link has keys for ${there}, the receiver knows ${here}`,
          'what one side of the socket does not know is dropped',
          'sluice config check link /etc/sluice/link.json',
        ),
      ),
      either(link.receiverSocket === receiver.linkSocket, ['config:socket', link.receiverSocket], (check) =>
        fail(
          check,
          `link connects to ${link.receiverSocket}, the receiver listens at ${receiver.linkSocket}`,
          'they never meet',
          'grep -n ocket /etc/sluice/link.json /etc/sluice/receiver.json',
        ),
      ),
    );
  }
  if (receiver === undefined || importer === undefined) return findings;
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
  for (const [what, here, there] of [
    ['policy', receiver.channels, importer.channels],
    ['store', receiver.store, importer.store],
    ['redis', receiver.redis.url, importer.redis.url],
  ] as const)
    findings.push(
      either(
        isDeepStrictEqual(plain(here), plain(there)),
        [`config:${what}`, 'receiver and importer say the same'],
        (check) =>
          fail(
            check,
            `receiver.json and importer.json differ in ${what === 'policy' ? 'channels' : what}`,
            'what the one lets in the other refuses, or never finds',
            'diff /etc/sluice/receiver.json /etc/sluice/importer.json',
          ),
      ),
    );
  return findings;
}

function placesOf(
  receiver?: ReceiverConfig,
  link?: LinkConfig,
  importer?: ImporterConfig,
): (readonly [string, string])[] {
  return [
    ...(receiver === undefined ? [] : [['state', receiver.stateDirectory] as const]),
    ...(receiver?.store.type === 'fs' ? [['store', receiver.store.directory] as const] : []),
    ...(link === undefined ? [] : [['spool', link.spoolDirectory] as const]),
    ...(link?.chunkLog.directory === undefined ? [] : [['chunks', link.chunkLog.directory] as const]),
    ...(importer?.files === undefined ? [] : [['files', importer.files.directory] as const]),
  ];
}

function certificates(receiver?: ReceiverConfig, importer?: ImporterConfig): Finding[] {
  const findings: Finding[] = [];
  for (const [what, config] of [
    ['receiver', receiver],
    ['importer', importer],
  ] as const) {
    const tls = config?.http.tls;
    if (tls !== undefined)
      findings.push(
        certificateFindings(`${what}-http`, tls.certFile),
        certificateFindings(`${what}-http-clients`, tls.clientCaFile),
      );
  }
  for (const { name, caFile } of sitesOf(importer))
    if (caFile !== undefined) findings.push(certificateFindings(`authority-${name}`, caFile));
  return findings;
}

const sitesOf = (importer?: ImporterConfig) =>
  importer === undefined ? [] : [{ ...importer.harbor, name: importer.harbor.site }, ...importer.sites];

async function services(receiver?: ReceiverConfig, importer?: ImporterConfig): Promise<Finding[]> {
  const findings: Finding[] = [];
  const redis = receiver?.redis ?? importer?.redis;
  if (redis !== undefined) findings.push(...(await redisFindings(redis.url, redis.passwordFile?.text())));
  const store = receiver?.store ?? importer?.store;
  if (store?.type === 's3') findings.push(await bucketFindings('store', store.endpoint, store.bucket));
  for (const { name, url, username, passwordFile } of sitesOf(importer)) {
    const account = { username, password: passwordFile.text() };
    const found = await harborFindings(name, url, account);
    findings.push(...found);
    if (found.every(({ level }) => level === 'ok')) findings.push(await robotFindings(name, url, account));
    if (url.startsWith('https:')) findings.push(await serverCertificate(`harbor-${name}`, url));
  }
  return findings;
}

/** The sender tells the digest of its configuration with every heartbeat. */
function drift(status: Status | undefined, expected: string | undefined): Finding[] {
  return (status?.channels ?? []).map(({ name, heartbeat }) => {
    const check = `sender-config:${name}`;
    const seen = heartbeat?.config;
    if (seen === undefined) return unknown(check, 'no heartbeat of the sender has come');
    if (expected === undefined) return ok(check, `the sender runs with ${seen}`);
    return either(seen === expected, [check, 'the sender runs with the configuration that was agreed'], () =>
      warn(
        check,
        `the sender runs with ${seen}, agreed was ${expected}`,
        'rate, repair or keys may have been changed over there',
        'sluice doctor sender   (on the staging host: it prints its digest)',
      ),
    );
  });
}
