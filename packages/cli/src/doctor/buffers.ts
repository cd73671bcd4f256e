import { either, fail, type Finding, ok, unknown, warn } from './finding.ts';
import { ask, mib, readNumber, readText } from './host.ts';

/** What the kernel charges for a datagram of 1452 bytes that waits, and what it takes on the Ethernet. */
const CHARGED = 2304;
const ON_WIRE = 1518;
const PAGE = 4096;
/** Milliseconds of datagrams that may wait between driver and socket. */
const BACKLOG_MS = 100;

export interface BufferNeeds {
  /** Bits a second on the link. */
  readonly rate: number;
  /** Longest time in milliseconds in which link takes nothing: a restart. */
  readonly pause: number;
  /** Receive buffer that the running link reports, if it runs. */
  readonly reported: number | undefined;
  /** The receiver runs link by itself, with this buffer: no systemd sets it with force. */
  readonly asked: number | undefined;
}

const perSecond = (rate: number): number => rate / 8 / ON_WIRE;

/** Bytes of kernel memory that hold `pause` at `rate`. */
export const bufferNeeded = (rate: number, pause: number): number =>
  Math.ceil((perSecond(rate) * CHARGED * pause) / 1000);

/** Is there room in the kernel for what comes while link is away? */
export function bufferFindings(needs: BufferNeeds): Finding[] {
  const { rate, pause, asked } = needs;
  const needed = bufferNeeded(rate, pause);
  const effective = needs.reported ?? fromUnit() ?? fromLimit(asked);
  const findings: Finding[] = [];
  const want = `${mib(needed)} hold ${String(pause)} ms at ${String(Math.round(rate / 1e6))} Mbit/s`;
  if (effective === undefined)
    findings.push(
      unknown(
        'udp:receive-buffer',
        `link does not run, and no unit says what it gets; ${want}`,
        'systemctl start sluice-link.socket',
      ),
    );
  else
    findings.push(
      either(effective >= needed, ['udp:receive-buffer', `${mib(effective)}; ${want}`], (check) =>
        warn(
          check,
          `${mib(effective)}; ${want}`,
          'what does not fit is lost while link is restarted or held up',
          raise(needed),
        ),
      ),
    );
  if (asked !== undefined) findings.push(limit(asked));
  findings.push(udpMemory(Math.max(needed, effective ?? 0)), backlog(rate));
  return findings;
}

/** Half of it: the kernel doubles what it is told. */
const raise = (needed: number): string => {
  const buffer = `${String(Math.ceil(needed / 2 / 2 ** 20))}M`;
  const file = '/etc/systemd/system/sluice-link.socket.d/buffer.conf';
  return `mkdir -p ${file.slice(0, file.lastIndexOf('/'))} && printf '[Socket]\\nReceiveBuffer=${buffer}\\n' > ${file} && systemctl daemon-reload && systemctl restart sluice-link.socket`;
};

/** What the socket unit sets. */
function fromUnit(): number | undefined {
  const asked = ask('systemctl', 'show', '--property=ReceiveBuffer', '--value', 'sluice-link.socket');
  const bytes = asked?.status === 0 ? Number(asked.out.trim()) : 0;
  return bytes > 0 ? bytes * 2 : undefined;
}

function fromLimit(asked: number | undefined): number | undefined {
  const most = readNumber('/proc/sys/net/core/rmem_max');
  return asked === undefined || most === undefined ? undefined : Math.min(asked, most) * 2;
}

function limit(asked: number): Finding {
  const most = readNumber('/proc/sys/net/core/rmem_max');
  if (most === undefined) return unknown('udp:rmem-max', 'net.core.rmem_max cannot be read');
  return either(most >= asked, ['udp:rmem-max', `a process may ask for ${mib(most)}`], (check) =>
    warn(
      check,
      `a process may ask for ${mib(most)}, link.receiveBuffer is ${mib(asked)}`,
      'link gets no more than that',
      `sysctl -w net.core.rmem_max=${String(asked)}`,
    ),
  );
}

function udpMemory(needed: number): Finding {
  const pages = readText('/proc/sys/net/ipv4/udp_mem')?.split(/\s+/).map(Number);
  const [low, pressure, high] = pages ?? [];
  if (low === undefined || pressure === undefined || high === undefined)
    return unknown('udp:memory', 'net.ipv4.udp_mem cannot be read');
  const most = high * PAGE;
  const wanted = Math.ceil((needed * 1.5) / PAGE);
  return either(most >= needed, ['udp:memory', `all UDP sockets together may hold ${mib(most)}`], (check) =>
    fail(
      check,
      `all UDP sockets together may hold ${mib(most)}, the receive buffer needs ${mib(needed)}`,
      'the kernel drops datagrams beyond it, however large the buffer',
      `sysctl -w net.ipv4.udp_mem='${String(low)} ${String(pressure)} ${String(wanted)}'`,
    ),
  );
}

function backlog(rate: number): Finding {
  const most = readNumber('/proc/sys/net/core/netdev_max_backlog');
  // Within a network namespace it is not shown: it is the host's.
  if (most === undefined) return ok('udp:backlog', 'net.core.netdev_max_backlog is not shown here');
  const needed = Math.ceil((perSecond(rate) * BACKLOG_MS) / 1000);
  return either(
    most >= needed,
    ['udp:backlog', `${String(most)} datagrams may wait for the socket on each processor`],
    (check) =>
      warn(
        check,
        `${String(most)} datagrams may wait for the socket on each processor, ${String(needed)} come in ${String(BACKLOG_MS)} ms`,
        'those beyond are lost before they reach the socket, and no socket counts them',
        `sysctl -w net.core.netdev_max_backlog=${String(Math.max(10_000, needed))}`,
      ),
  );
}
