import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Program, until } from '../world/processes.ts';
import { Diode, diodeMissing, type DiodeOptions, INTERFACE, ISOLATED_ADDRESS, MUTE, SENDER_ADDRESS } from './diode.ts';

const absent = diodeMissing();
const DATAGRAMS = join(import.meta.dirname, 'datagrams.ts');
const PORT = 4433;
const CLOSED_PORT = 4999;

describe.skipIf(absent !== undefined)(`a diode of two namespaces${absent === undefined ? '' : `: ${absent}`}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-diode-'));
  const diodes: Diode[] = [];
  const programs: Program[] = [];
  let logs = 0;

  const create = (options: Partial<DiodeOptions> = {}): Diode => {
    const diode = Diode.create({ name: 'rig', ...options });
    diodes.push(diode);
    return diode;
  };
  const send = (diode: Diode, port: number, count: number, size = 1452, io = 'native'): SendReport => {
    const words = ['send', ISOLATED_ADDRESS, String(port), String(count), String(size), io];
    return JSON.parse(diode.exec('sender', [process.execPath, DATAGRAMS, ...words])) as SendReport;
  };
  const listen = async (diode: Diode, io: string): Promise<Program> => {
    const argv = diode.on('isolated', [process.execPath, DATAGRAMS, 'receive', String(PORT), io]);
    const program = new Program('receiver', argv, join(dir, `receiver-${++logs}.log`));
    programs.push(program);
    await program.line(/ready/);
    return program;
  };
  const stop = async (program: Program): Promise<ReceiveReport> => {
    await program.stop();
    return JSON.parse(program.output().split('\n')[1] ?? '') as ReceiveReport;
  };
  /** Everything that makes a stock host speak. */
  const provoke = async (diode: Diode): Promise<void> => {
    send(diode, CLOSED_PORT, 50);
    diode.exec('sender', ['python3', '-c', ASK]);
    diode.exec('isolated', ['ip', 'link', 'set', INTERFACE, 'down']);
    diode.exec('isolated', ['ip', 'link', 'set', INTERFACE, 'up']);
    diode.exec('isolated', ['python3', '-c', JOIN_GROUP]);
    await stop(await listen(diode, 'native'));
    send(diode, PORT, 50);
    // A program of the isolated host that means to speak to the sender.
    diode.exec('isolated', ['python3', '-c', SPEAK]);
  };

  afterEach(async () => {
    for (const program of programs.splice(0)) await program.stop('SIGKILL');
    for (const diode of diodes.splice(0)) diode.destroy();
  });
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });

  it('counts what a stock host offers to the link, so the check can fail', async () => {
    const diode = create({ mute: false });
    send(diode, CLOSED_PORT, 50);
    await until('ICMP errors and ARP at the egress', 5000, () => diode.egressCount() > 0 || undefined);
    const before = diode.egressCount();
    diode.exec('isolated', ['ip', 'link', 'set', INTERFACE, 'down']);
    diode.exec('isolated', ['ip', 'link', 'set', INTERFACE, 'up']);
    await until('router solicitations and MLD at the egress', 5000, () => diode.egressCount() > before || undefined);
    expect(diode.muteStatus().get('mute')).toBe('no');
  });

  it('mute.sh leaves nothing to count, nor to stop at the interface', async () => {
    const diode = create();
    await provoke(diode);
    // Duplicate address detection, MLD and router solicitations would come within two seconds of the link going up.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(diode.egressCount()).toBe(0);
    const status = diode.muteStatus();
    expect(status.get('mute')).toBe('yes');
    expect(status.get('frames stopped at the interface')).toBe('0');
    expect(Number(status.get('answers stopped before the interface'))).toBeGreaterThan(0);
  });

  it('mute.sh stops and counts at the interface what is made past all other rules', () => {
    const diode = create();
    diode.exec('isolated', ['python3', '-c', RAW_FRAMES]);
    expect(diode.muteStatus().get('frames stopped at the interface')).toBe('3');
    diode.exec('isolated', ['sh', MUTE, INTERFACE, 'up']);
    expect(diode.muteStatus().get('frames stopped at the interface')).toBe('3');
    expect(diode.egressCount()).toBe(0);
  });

  it('mute.sh lets no answer out by another interface either, and nothing be routed through', async () => {
    const diode = create();
    const route = (...words: string[]): string => diode.exec('isolated', ['ip', ...words]);
    const settings = { 'ipv4/ip_forward': 1, 'ipv4/icmp_ratelimit': 0, 'ipv6/conf/default/disable_ipv6': 1 };
    for (const [name, value] of Object.entries(settings)) {
      diode.exec('isolated', ['sh', '-c', `echo ${value} >/proc/sys/net/${name}`]);
    }
    route('addr', 'flush', 'dev', INTERFACE);
    route('addr', 'add', `${ISOLATED_ADDRESS}/32`, 'dev', INTERFACE);
    route('link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'lan1');
    route('link', 'set', 'lan1', 'up');
    route('link', 'set', 'lan0', 'arp', 'off', 'multicast', 'off', 'up');
    route('addr', 'add', '10.98.0.1/24', 'dev', 'lan0');
    route('route', 'add', 'default', 'dev', 'lan0');
    diode.exec('sender', ['ip', 'route', 'add', '10.98.0.0/24', 'via', ISOLATED_ADDRESS]);
    const sentByLan = (): number => {
      const [link] = JSON.parse(route('-j', '-s', 'link', 'show', 'lan0')) as Link[];
      return link?.stats64.tx.packets ?? Number.NaN;
    };
    const server = new Program('server', diode.on('isolated', ['python3', '-uc', SERVE]), join(dir, 'server.log'));
    programs.push(server);
    await server.line(/ready/);
    const before = sentByLan();
    send(diode, CLOSED_PORT, 20);
    diode.exec('sender', ['python3', '-c', ASK]);
    diode.exec('sender', ['python3', '-c', SPEAK.replace(SENDER_ADDRESS, '10.98.0.7')]);
    expect(sentByLan()).toBe(before);
    expect(Number(diode.muteStatus().get('answers stopped before the interface'))).toBeGreaterThan(0);
    // The same without the rules, to know that the frames would have gone that way.
    diode.exec('isolated', ['sh', MUTE, INTERFACE, 'down']);
    send(diode, CLOSED_PORT, 20);
    expect(sentByLan()).toBeGreaterThan(before);
  });

  it('mute.sh says what is no longer in force, and mends it', () => {
    const diode = create();
    diode.exec('isolated', ['ip', 'link', 'set', INTERFACE, 'arp', 'on']);
    diode.exec('isolated', ['nft', 'delete', 'table', 'netdev', `sluice-mute-${INTERFACE}`]);
    expect([...diode.muteStatus()]).toEqual(
      expect.arrayContaining([
        ['egress rule', 'missing'],
        ['no ARP', 'ARP is on'],
        ['no IPv6', 'ok'],
        ['mute', 'no'],
      ]),
    );
    diode.exec('isolated', ['sh', MUTE, INTERFACE]);
    expect(diode.muteStatus().get('mute')).toBe('yes');
    diode.exec('isolated', ['sh', MUTE, INTERFACE, 'down']);
    expect(diode.muteStatus().get('mute')).toBe('no');
  });

  it.each(['native', 'portable'])('carries datagrams one way without loss (%s)', async (io) => {
    const diode = create();
    const receiver = await listen(diode, io);
    expect(send(diode, PORT, 20_000, 1452, io)).toEqual({ refusals: 0, stalls: 0, notes: [] });
    expect(await stop(receiver)).toEqual({ received: 20_000, distinct: 20_000, drops: 0 });
    expect(diode.egressCount()).toBe(0);
  });

  it('loses as many datagrams as it says, one at a time', async () => {
    const diode = create({ lossPercent: 10 });
    const receiver = await listen(diode, 'native');
    send(diode, PORT, 20_000);
    const lost = diode.ingressDropped();
    expect(lost / 20_000).toBeCloseTo(0.1, 1);
    expect(await stop(receiver)).toMatchObject({ received: 20_000 - lost, drops: 0 });
  });

  it('says when a datagram does not fit the MTU', () => {
    const diode = create({ mtu: 1400 });
    expect(() => send(diode, PORT, 10)).toThrow(/does not fit the MTU/);
    expect(send(diode, PORT, 10, 1372)).toMatchObject({ notes: [] });
  });

  it('waits where the interface is slower than the sender, and loses nothing to its queue', async () => {
    const diode = create();
    diode.exec('sender', ['tc', 'qdisc', 'add', 'dev', INTERFACE, 'root', 'tbf', ...SLOW]);
    const receiver = await listen(diode, 'native');
    const { stalls } = send(diode, PORT, 4000);
    expect(stalls).toBeGreaterThan(0);
    await until('the queue to run empty', 5000, () => queued(diode) === 0 || undefined);
    expect(await stop(receiver)).toMatchObject({ distinct: 4000, drops: 0 });
  });
});

interface SendReport {
  readonly refusals: number;
  readonly stalls: number;
  readonly notes: readonly string[];
}

interface ReceiveReport {
  readonly received: number;
  readonly distinct: number;
  readonly drops: number;
}

const SLOW = ['rate', '100mbit', 'burst', '70000', 'limit', '200000'];

const queued = (diode: Diode): number =>
  Number(/backlog (\d+)b/.exec(diode.exec('sender', ['tc', '-s', 'qdisc', 'show', 'dev', INTERFACE]))?.[1]);

interface Link {
  readonly stats64: { readonly tx: { readonly packets: number } };
}

// What a stock host answers: an ARP request, an echo request, a TCP segment.
const ASK = `
import socket, struct
frame = b"\\xff" * 6 + b"\\x02" * 6 + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
frame += b"\\x02" * 6 + socket.inet_aton("${SENDER_ADDRESS}") + bytes(6) + socket.inet_aton("${ISOLATED_ADDRESS}")
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("${INTERFACE}", 0))
raw.send(frame)
echo = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
echo.sendto(struct.pack("!BBHHH", 8, 0, 0xf7fe, 0, 1), ("${ISOLATED_ADDRESS}", 0))
tcp = socket.socket()
tcp.settimeout(0.2)
try: tcp.connect(("${ISOLATED_ADDRESS}", 22))
except OSError: pass
`;

// A service of the isolated host that is bound to every address.
const SERVE = `
import socket, time
s = socket.socket()
s.bind(("0.0.0.0", 22))
s.listen()
print("ready")
time.sleep(600)
`;

const JOIN_GROUP = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.1.2.3") + socket.inet_aton("${ISOLATED_ADDRESS}"))
`;

// The kernel tells the speaker that it may not.
const SPEAK = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: s.sendto(b"here I am", ("${SENDER_ADDRESS}", 9))
except PermissionError: pass
`;

const RAW_FRAMES = `
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("${INTERFACE}", 0))
for i in range(3):
  try: s.send(b"\\xff" * 6 + b"\\x02" * 6 + b"\\x88\\xcc" + b"lldp" * 12)
  except OSError: pass
`;
