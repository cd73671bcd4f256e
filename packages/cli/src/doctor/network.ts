import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { either, fail, type Finding, ok, unknown, warn } from './finding.ts';
import { ask, namesIn, readNumber, readText } from './host.ts';

const NET = '/sys/class/net';
/** IPv4 and UDP around a datagram. */
const AROUND = 28;
/** What ALC puts before a symbol. */
const HEADER = 44;
/** Where it is in a package, and in the repository. */
const MUTE = ['../../../../../mute.sh', '../../../../deploy/mute.sh']
  .map((path) => join(import.meta.dirname, path))
  .find(existsSync);
/** A neighbour that is there and was set by hand (linux/if_arp.h: ATF_COM, ATF_PERM). */
const PERMANENT = 0x6;
const TROUBLES = [
  'rx_errors',
  'rx_crc_errors',
  'rx_missed_errors',
  'rx_fifo_errors',
  'rx_length_errors',
  'tx_errors',
  'tx_carrier_errors',
];

/** The way to an address: the interface, and who is asked for there. */
export interface Way {
  readonly name: string;
  readonly neighbour: string;
}

/** By the kernel's own table; undefined when there is no way. */
export function wayTo(host: string): Way | undefined {
  const wanted = numberOf(host);
  if (wanted === undefined) return undefined;
  if (wanted >>> 24 === 127) return { name: 'lo', neighbour: host };
  const rows = (readText('/proc/net/route') ?? '').split('\n').slice(1);
  const routes = rows
    .map((row) => row.trim().split(/\s+/))
    .map(([name = '', to = '', by = '', , , , , mask = '']) => ({
      name,
      to: swapped(to),
      by: swapped(by),
      mask: swapped(mask),
    }))
    .filter(({ to, mask }) => (wanted & mask) >>> 0 === to)
    .sort((a, b) => b.mask - a.mask);
  const [best] = routes;
  return best === undefined ? undefined : { name: best.name, neighbour: best.by === 0 ? host : dotted(best.by) };
}

function numberOf(host: string): number | undefined {
  const parts = host.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part < 256))) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}
const dotted = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
/** /proc/net/route has the bytes of an address from the last to the first. */
const swapped = (hex: string): number => Buffer.from(hex.padStart(8, '0'), 'hex').readUInt32LE();

/** Nothing ever answers an ARP request over the diode. */
export function neighbourFinding({ name, neighbour }: Way): Finding {
  if (name === 'lo') return ok('link:neighbour', 'the way is within this host');
  const rows = (readText('/proc/net/arp') ?? '').split('\n').slice(1);
  const row = rows
    .map((each) => each.split(/\s+/))
    .find(([address, , , , , device]) => address === neighbour && device === name);
  const [, , flags = '0x0', lladdr = ''] = row ?? [];
  const fixed = (Number(flags) & PERMANENT) === PERMANENT;
  return either(fixed, ['link:neighbour', `${neighbour} is at ${lladdr} for good`], (check) =>
    fail(
      check,
      `${neighbour} has no static neighbour entry on ${name}`,
      'nothing answers ARP over the diode, so no datagram leaves',
      `ip neigh replace ${neighbour} lladdr MAC-OF-THE-OTHER-SIDE dev ${name} nud permanent`,
    ),
  );
}

/** The interface of the link, as the kernel shows it and as far as the card lets ethtool look. */
export function interfaceFindings(
  name: string,
  side: 'sender' | 'receiver',
  symbolBytes: number | undefined,
): Finding[] {
  if (!existsSync(`${NET}/${name}`)) {
    const there = namesIn(NET).join(', ');
    return [fail('link:interface', `there is no interface ${name}; there are ${there}`, 'it is the link', 'ip link')];
  }
  return [
    carrier(name),
    mtu(name, symbolBytes),
    queue(name),
    troubles(name),
    ...(name === 'lo' ? [] : card(name, side)),
  ];
}

function carrier(name: string): Finding {
  const up = readNumber(`${NET}/${name}/carrier`);
  const speed = readNumber(`${NET}/${name}/speed`) ?? -1;
  const at = speed > 0 ? ` at ${String(speed)} Mbit/s, ${readText(`${NET}/${name}/duplex`) ?? 'unknown'} duplex` : '';
  if (up === 1) return ok('link:carrier', `${name} has a carrier${at}`);
  // An interface that is switched off shows no carrier at all.
  return up === undefined
    ? fail('link:carrier', `${name} is switched off`, 'nothing leaves or comes', `ip link set dev ${name} up`)
    : fail(
        'link:carrier',
        `${name} has no carrier`,
        'no light, or cards that wait to negotiate with a partner that cannot answer',
        `ethtool -s ${name} autoneg off speed 1000 duplex full`,
      );
}

function mtu(name: string, symbolBytes: number | undefined): Finding {
  const most = readNumber(`${NET}/${name}/mtu`) ?? 0;
  if (symbolBytes === undefined) return ok('link:mtu', `${name} takes ${String(most)} bytes`);
  const needed = symbolBytes + HEADER + AROUND;
  return either(
    most >= needed,
    ['link:mtu', `${name} takes ${String(most)} bytes, a datagram has ${String(needed)}`],
    (check) =>
      fail(
        check,
        `${name} takes ${String(most)} bytes, a datagram has ${String(needed)}`,
        'fragments are never sent, so nothing leaves',
        `ip link set dev ${name} mtu ${String(needed > 1500 ? 9000 : 1500)}`,
      ),
  );
}

function queue(name: string): Finding {
  const length = readNumber(`${NET}/${name}/tx_queue_len`) ?? 0;
  const asked = ask('tc', 'qdisc', 'show', 'dev', name, 'root');
  const kind = /^qdisc (\S+)/.exec(asked?.out ?? '')?.[1];
  const said = `${String(length)} frames${kind === undefined ? '' : `, ${kind}`}`;
  // What shapes or drops by itself works against the pacing of the sender.
  const odd = kind !== undefined && ['tbf', 'netem', 'red', 'codel', 'cake', 'htb'].includes(kind);
  return either(!odd, ['link:queue', said], (check) =>
    warn(
      check,
      said,
      'it shapes or drops by its own rules; the sender paces by itself',
      `tc qdisc replace dev ${name} root pfifo`,
    ),
  );
}

function troubles(name: string): Finding {
  const counts = TROUBLES.map((each) => [each, readNumber(`${NET}/${name}/statistics/${each}`) ?? 0] as const);
  const some = counts.filter(([, count]) => count > 0).map(([each, count]) => `${each} ${String(count)}`);
  return either(some.length === 0, ['link:errors', `${name} counts no errors`], (check) =>
    warn(
      check,
      `${name} counts ${some.join(', ')}`,
      'light, transceiver or card lose frames; repair symbols hide it until they do not suffice',
      `ethtool -S ${name}`,
    ),
  );
}

/** What only the card knows. A virtual one knows little, and says so. */
function card(name: string, side: 'sender' | 'receiver'): Finding[] {
  if (ask('ethtool', '--version') === undefined)
    return [
      unknown(
        'link:card',
        'ethtool is not installed: negotiation, rings, pause frames, offloads and light',
        'apt-get install ethtool',
      ),
    ];
  const findings: Finding[] = [];
  const general = ask('ethtool', name);
  if (general?.out.includes('Auto-negotiation: on') === true && readNumber(`${NET}/${name}/carrier`) !== 1)
    findings.push(
      warn(
        'link:negotiation',
        `${name} negotiates`,
        'a card without light from the other side waits for ever',
        `ethtool -s ${name} autoneg off speed 1000 duplex full`,
      ),
    );
  const pause = ask('ethtool', '-a', name);
  if (pause?.status === 0) {
    const word = side === 'sender' ? 'RX' : 'TX';
    const on = new RegExp(`^${word}:\\s+on`, 'm').test(pause.out);
    const why =
      side === 'sender'
        ? 'a pause frame holds up everything'
        : 'a card that asks for pauses sends frames into the diode';
    findings.push(
      either(!on, ['link:pause', `${word} pause frames are off`], (check) =>
        warn(check, `${word} pause frames are on`, why, `ethtool -A ${name} rx off tx off autoneg off`),
      ),
    );
  }
  if (side === 'receiver') findings.push(...rings(name), merging(name));
  return [...findings, ...light(name)];
}

function rings(name: string): Finding[] {
  const asked = ask('ethtool', '-g', name);
  const [most, now] = [...(asked?.out ?? '').matchAll(/^RX:\s+(\d+)/gm)].map(([, count]) => Number(count));
  if (asked?.status !== 0 || most === undefined || now === undefined || most === 0) return [];
  return [
    either(now >= Math.min(most, 4096), ['link:rings', `${String(now)} frames`], (check) =>
      warn(
        check,
        `the card has room for ${String(now)} frames, it could have ${String(most)}`,
        'what comes while the processor is away is lost in the card',
        `ethtool -G ${name} rx ${String(most)}`,
      ),
    ),
  ];
}

function merging(name: string): Finding {
  const on = /^generic-receive-offload: on/m.test(ask('ethtool', '-k', name)?.out ?? '');
  return either(on, ['link:offload', 'datagrams are merged on their way to the socket'], (check) =>
    warn(
      check,
      'datagrams are not merged on their way to the socket (GRO)',
      'each costs a system call of its own: a third of the rate',
      `ethtool -K ${name} gro on rx-udp-gro-forwarding on`,
    ),
  );
}

/** Of transceivers that measure it. */
function light(name: string): Finding[] {
  const asked = ask('ethtool', '-m', name);
  if (asked?.status !== 0) return [];
  const power = /Receiver signal average optical power\s*:\s*(.+)/.exec(asked.out)?.[1];
  const alarms = [...asked.out.matchAll(/^\s*(.+?(?:alarm|warning))\s*:\s*On/gm)].map(([, alarm]) => alarm ?? '');
  return [
    either(alarms.length === 0, ['link:light', power === undefined ? 'no alarm' : `received ${power}`], (check) =>
      warn(
        check,
        `${alarms.join(', ')}${power === undefined ? '' : `; received ${power}`}`,
        'light at its limits loses frames, and then all of them',
        `ethtool -m ${name}`,
      ),
    ),
  ];
}

/** The interfaces that are told to be mute. */
export const muteInterfaces = (): string[] =>
  namesIn('/etc/systemd/system/multi-user.target.wants').flatMap(
    (name) => /^sluice-mute@(.+)\.service$/.exec(name)?.[1] ?? [],
  );

/** The isolated side offers nothing to the link; and what the kernel makes of datagrams without a way back. */
export function isolationFindings(name: string): Finding[] {
  return [...muteness(name), returnPath(name)];
}

function muteness(name: string): Finding[] {
  const asked = MUTE === undefined ? undefined : ask('sh', MUTE, name, 'status');
  if (MUTE === undefined || asked === undefined)
    return [unknown('link:mute', 'mute.sh is not there, or cannot be run')];
  if (process.getuid?.() !== 0)
    return [unknown('link:mute', 'only root sees the rules', `sudo ${MUTE} ${name} status`)];
  const lines = asked.out.trim().split('\n');
  const open = lines.filter((line) => !/: (ok|yes|\d+)$/.test(line) && !line.startsWith('mute: '));
  const stopped = Number(/^frames stopped at the interface: (\d+)/m.exec(asked.out)?.[1] ?? 0);
  return [
    either(asked.status === 0, ['link:mute', `${name} is mute`], (check) =>
      fail(
        check,
        `${name} is not mute: ${open.join(', ')}`,
        'the isolated side offers frames to the link',
        `systemctl enable --now sluice-mute@${name}.service`,
      ),
    ),
    either(stopped === 0, ['link:mute-counter', 'no frame had to be stopped'], (check) =>
      warn(
        check,
        `${String(stopped)} frames were stopped at ${name}`,
        'a program here writes past the network stack into the diode',
        'ss -0 -p',
      ),
    ),
  ];
}

function returnPath(name: string): Finding {
  const paths = ['all', name].map((each) => readNumber(`/proc/sys/net/ipv4/conf/${each}/rp_filter`) ?? 0);
  const strict = Math.max(...paths) === 1;
  return either(!strict, ['link:rp-filter', 'datagrams come in without a way back'], (check) =>
    warn(
      check,
      `the return path filter of ${name} is strict`,
      'without a route to the sender every datagram is dropped, and counted nowhere',
      `sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.${name}.rp_filter=0`,
    ),
  );
}
