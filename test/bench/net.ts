import { execFileSync } from 'node:child_process';
import type { Side } from '../rig/diode.ts';

/** Where both ends of a measurement run, and how the sender reaches the other end. */
export interface Net {
  readonly name: string;
  /** The isolated side's address, as the sender sees it. */
  readonly host: string;
  /** The sender's interface towards the other end. */
  readonly device: string;
  /** The isolated side's interface. */
  readonly isolatedDevice: string;
  /** The words that run `argv` on a side. */
  on(side: Side, argv: readonly string[]): readonly string[];
  /** Datagrams lost by the net itself so far. */
  lost(): number;
  destroy(): void;
}

const standing = new Set<Net>();
// Whatever way this process ends, no namespace stays.
process.once('exit', () => {
  for (const net of standing) net.destroy();
});

const run = ([file = '', ...args]: readonly string[], input = ''): string =>
  execFileSync(file, args, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });

/** The machine's own loopback interface, as it is. */
export const loopback = (): Net => ({
  name: 'loopback',
  host: '127.0.0.1',
  device: 'lo',
  isolatedDevice: 'lo',
  on: (_side, argv) => argv,
  lost: () => 0,
  destroy: () => undefined,
});

const within = (namespace: string, argv: readonly string[]): readonly string[] => [
  'ip',
  'netns',
  'exec',
  namespace,
  ...argv,
];

function made(namespaces: readonly string[], net: Omit<Net, 'destroy'>, build: () => void): Net {
  const whole: Net = {
    ...net,
    destroy: () => {
      if (!standing.delete(whole)) return;
      for (const namespace of namespaces) {
        try {
          run(['ip', 'netns', 'del', namespace]);
        } catch (error) {
          // One that was never made: nothing is left to take away.
          if (!String(error).includes('No such file')) throw error;
        }
      }
    },
  };
  standing.add(whole);
  try {
    for (const namespace of namespaces) run(['ip', 'netns', 'add', namespace]);
    build();
  } catch (error) {
    whole.destroy();
    throw error;
  }
  return whole;
}

const VETH = 'bench0';

/** Two namespaces and a veth pair, one datagram a frame. Both ways are open: iperf3 talks back. */
export function vethPair(mtu = 1500): Net {
  const sender = `bench-${String(process.pid)}-s`;
  const isolated = `bench-${String(process.pid)}-i`;
  const net = {
    name: 'veth',
    host: '10.98.0.2',
    device: VETH,
    isolatedDevice: VETH,
    on: (side: Side, argv: readonly string[]) => within(side === 'sender' ? sender : isolated, argv),
    lost: () => 0,
  };
  return made([sender, isolated], net, () => {
    run(['ip', '-n', sender, 'link', 'add', VETH, 'type', 'veth', 'peer', 'name', VETH, 'netns', isolated]);
    for (const [namespace, address] of [
      [sender, '10.98.0.1/24'],
      [isolated, '10.98.0.2/24'],
    ] as const) {
      run(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
      run(within(namespace, ['ethtool', '-K', VETH, 'tx-udp-segmentation', 'off']));
      run(['ip', '-n', namespace, 'link', 'set', VETH, 'mtu', String(mtu)]);
      run(['ip', '-n', namespace, 'addr', 'add', address, 'dev', VETH]);
      run(['ip', '-n', namespace, 'link', 'set', VETH, 'up']);
    }
    // So that nothing waits for an answer to ARP in the middle of a measurement.
    const [link] = JSON.parse(run(['ip', '-n', isolated, '-j', 'link', 'show', VETH])) as { address: string }[];
    const neighbour = ['10.98.0.2', 'lladdr', link?.address ?? '', 'dev', VETH, 'nud', 'permanent'];
    run(['ip', '-n', sender, 'neigh', 'replace', ...neighbour]);
  });
}

/** Loopback of a namespace of its own, one datagram a frame, that loses `percent` of the datagrams to `port` at random. */
export function lossyLoopback(percent: number, port: number): Net {
  const namespace = `bench-${String(process.pid)}-l${String(Math.round(percent * 10))}`;
  const net = {
    name: `loopback losing ${String(percent)} %`,
    host: '127.0.0.1',
    device: 'lo',
    isolatedDevice: 'lo',
    on: (_side: Side, argv: readonly string[]) => within(namespace, argv),
    lost: () => {
      if (percent === 0) return 0;
      const text = run(within(namespace, ['nft', 'list', 'chain', 'netdev', 'bench', 'in']));
      return Number(/counter packets (\d+)/.exec(text)?.[1] ?? 0);
    },
  };
  return made([namespace], net, () => {
    run(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
    run(within(namespace, ['ethtool', '-K', 'lo', 'tx-udp-segmentation', 'off']));
    if (percent > 0) run(within(namespace, ['nft', '-f', '-']), lossRules(percent, port));
  });
}

const lossRules = (percent: number, port: number): string => `
table netdev bench {
  chain in {
    type filter hook ingress device "lo" priority 0; policy accept;
    udp dport ${String(port)} numgen random mod 1000 < ${String(Math.round(percent * 10))} counter drop
  }
}
`;
