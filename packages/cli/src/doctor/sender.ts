import { digestOfConfig } from '@sluice/base';
import { senderConfig, type SenderConfig } from '@sluice/sender';
import { loadEtc } from './etc.ts';
import { fail, type Finding, ok } from './finding.ts';
import { certificateFindings, secretFindings } from './keys.ts';
import { clockFindings, cpuFindings, diskFindings, runs } from './machine.ts';
import { interfaceFindings, neighbourFinding, wayTo } from './network.ts';
import { bucketFindings, statusOf } from './services.ts';

export interface SenderOptions {
  readonly etc: string;
}

/** Everything about a staging host that can be seen from there. */
export async function examineSender({ etc }: SenderOptions): Promise<Finding[]> {
  const { config, finding } = loadEtc(etc, 'sender', senderConfig);
  const findings = [...(await cpuFindings()), ...clockFindings('sender'), ...secretFindings(etc, 'sender'), finding];
  if (config === undefined) return findings;
  findings.push(
    ok(
      'config:digest',
      `${digestOfConfig(config)}: the isolated side may compare it (sluice doctor receiver --sender-config)`,
    ),
    ...linkFindings(config),
    ...diskFindings(
      [
        ['state', config.stateDirectory],
        ['refused', config.refusedDirectory],
      ],
      config.health.diskFree,
    ),
  );
  const { tls } = config.http;
  if (tls !== undefined)
    findings.push(certificateFindings('http', tls.certFile), certificateFindings('http-clients', tls.clientCaFile));
  for (const { name, s3 } of config.channels) {
    if (s3 !== undefined) findings.push(await bucketFindings(name, s3.endpoint, s3.bucket));
  }
  findings.push(runs('sender', (await statusOf(config.http.port)) !== undefined));
  return findings;
}

function linkFindings({ link }: SenderConfig): Finding[] {
  const way = wayTo(link.host);
  if (way === undefined)
    return [
      fail(
        'link:route',
        `there is no way to ${link.host}`,
        'nothing leaves',
        `ip route add ${link.host} dev INTERFACE`,
      ),
    ];
  return [
    ok('link:route', `${link.host} by ${way.name}`),
    neighbourFinding(way),
    ...interfaceFindings(way.name, 'sender', link.symbolBytes),
  ];
}
