/** A release is one package for each side of the link; they share no host. */
export type Side = 'sender' | 'receiver';

export interface SideParts {
  /** Name of sysusers.d and tmpfiles.d fragments. */
  readonly place: 'staging' | 'isolated';
  /** Daemons, each a package of the workspace and a configuration. */
  readonly daemons: readonly string[];
  /** Units, in the order in which they start. */
  readonly units: readonly string[];
  /** Units that are enabled when the package is first installed; the one of the diode needs to be told its interface. */
  readonly enabled: readonly string[];
  readonly users: readonly string[];
  /** Files that only this side has: from the repository, to below the root. */
  readonly files: readonly (readonly [from: string, to: string, mode: number])[];
  /** What it works with when it is there; nothing is needed. */
  readonly recommends: readonly string[];
  readonly summary: string;
}

export const SIDES: Readonly<Record<Side, SideParts>> = {
  sender: {
    place: 'staging',
    daemons: ['sender'],
    units: ['sluice-sender-http.socket', 'sluice-sender.service'],
    enabled: ['sluice-sender-http.socket', 'sluice-sender.service'],
    users: ['sluice-sender'],
    files: [],
    recommends: ['iproute2', 'ethtool'],
    summary: 'carries container software through a data diode: the staging side',
  },
  receiver: {
    place: 'isolated',
    daemons: ['link', 'receiver', 'importer'],
    units: [
      'sluice-link.socket',
      'sluice-receiver-http.socket',
      'sluice-link.service',
      'sluice-receiver.service',
      'sluice-importer.service',
      'sluice-importer@.service',
      'sluice-mute@.service',
    ],
    enabled: [
      'sluice-link.socket',
      'sluice-receiver-http.socket',
      'sluice-link.service',
      'sluice-receiver.service',
      'sluice-importer.service',
    ],
    users: ['sluice-link', 'sluice-receiver', 'sluice-importer'],
    files: [
      ['deploy/mute.sh', 'usr/lib/sluice/mute.sh', 0o755],
      ['deploy/sysctl.d/60-sluice.conf', 'usr/lib/sysctl.d/60-sluice.conf', 0o644],
    ],
    recommends: ['nftables', 'iproute2', 'redis-server', 'ethtool'],
    summary: 'carries container software through a data diode: the isolated side',
  },
};

/** Packages of the workspace that belong to the other side. */
export function foreignDaemons(side: Side): string[] {
  const all = Object.values(SIDES).flatMap(({ daemons }) => daemons);
  return all.filter((daemon) => !SIDES[side].daemons.includes(daemon)).map((daemon) => `@sluice/${daemon}`);
}
