import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { INTERFACE, ISOLATED_ADDRESS } from '../rig/diode.ts';
import { Program, until } from '../world/processes.ts';
import { type ChaosCase, type Figures, must, mustEqual } from './case.ts';
import { fileDigest, MIB } from './content.ts';
import { cpuSeconds, residentBytes } from './procfs.ts';
import { Rig } from './rig.ts';

const RATE = 300_000;
const SECONDS = 20;
/** Enough that it is still on air when the flood ends. */
const BYTES = 768 * MIB;
const WARM_BYTES = 320 * MIB;
const DATAGRAM_BYTES = 1452;
const RECORDED = 2000;
const PORT = 4433;
const DEADLINE_MS = 180_000;
/** An old session is closed 5 s after the first datagram of the next (PROTOCOL.md S-3). */
const LINGER_MS = 7000;
/** What a second flood may take on top of the first, besides memory for blocks, which has a limit of its own: garbage. */
const FLAT_BYTES = 24 * MIB;
/** Ethernet, IPv4 and UDP before a datagram; headers of a pcap file and of each record. */
const [FRAME_BYTES, PCAP_BYTES, RECORD_BYTES] = [42, 24, 16];

interface Sent {
  readonly random: number;
  readonly badTag: number;
  readonly replayed: number;
  readonly oldSession: number;
  readonly refused: number;
  readonly seconds: number;
  readonly cpu: number;
}

interface Flood {
  readonly sent: Sent;
  /** Memory of link meanwhile, bytes: all of it at most, and what of it no block ever used. */
  readonly resident: number;
  readonly beside: number;
  /** Cores used meanwhile. */
  readonly cpu: Readonly<Record<'link' | 'sender', number>>;
}

/** Records datagrams of the transfer that is on air, as anybody on the fibre could. */
async function record(rig: Rig, name: string): Promise<string> {
  const capture = join(rig.dir, `${name}.pcap`);
  const words = [
    '-i',
    INTERFACE,
    '-w',
    capture,
    '-c',
    String(RECORDED),
    '-Z',
    'root',
    'udp',
    'dst',
    'port',
    String(PORT),
  ];
  const tcpdump = new Program(
    'tcpdump',
    rig.diode.on('isolated', ['tcpdump', '-U', ...words]),
    join(rig.dir, 'logs/tcpdump.log'),
  );
  await until('datagrams to be recorded', DEADLINE_MS, () => tcpdump.ended || undefined);
  const bytes = readFileSync(capture);
  const datagrams: Buffer[] = [];
  for (let at = PCAP_BYTES; at + RECORD_BYTES <= bytes.length;) {
    const length = bytes.readUInt32LE(at + 8);
    at += RECORD_BYTES;
    if (length === FRAME_BYTES + DATAGRAM_BYTES) datagrams.push(bytes.subarray(at + FRAME_BYTES, at + length));
    at += length;
  }
  must(datagrams.length > RECORDED / 2, `only ${String(datagrams.length)} datagrams were recorded`);
  const file = join(rig.dir, name);
  writeFileSync(file, Buffer.concat(datagrams));
  return file;
}

/** Counts what comes in by the fibre, before the socket. */
class Arrivals {
  readonly #rig: Rig;
  constructor(rig: Rig) {
    this.#rig = rig;
    const hook = `type filter hook ingress device "${INTERFACE}" priority 10; policy accept;`;
    const rule = `udp dport ${String(PORT)} counter`;
    rig.diode.exec('isolated', ['nft', '-f', '-'], `table netdev arrivals {\n chain in {\n ${hook}\n ${rule}\n }\n}\n`);
  }
  get count(): number {
    const text = this.#rig.diode.exec('isolated', ['nft', 'list', 'chain', 'netdev', 'arrivals', 'in']);
    return Number(/counter packets (\d+)/.exec(text)?.[1]);
  }
}

/** What link has given a verdict, and what the kernel dropped at its socket. */
async function accounted(
  rig: Rig,
): Promise<{ readonly verdicts: Readonly<Record<string, number>>; readonly drops: number }> {
  const { link } = (await rig.status()) ?? {};
  return { verdicts: link?.verdicts ?? {}, drops: link?.numbers.kernelDrops ?? 0 };
}

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);

/** Sends what was recorded, and what was made up, for as long as it takes; gives what was sent, and the memory of link meanwhile. */
async function flooded(
  rig: Rig,
  files: { readonly live: string; readonly old: string },
  blocks: { peak: number },
): Promise<Flood> {
  const program = join(rig.dir, 'hostile');
  execFileSync('cc', ['-O2', '-o', program, join(import.meta.dirname, 'hostile.c')]);
  const numbers = [PORT, SECONDS, RATE, DATAGRAM_BYTES].map(String);
  // Who floods has a machine of its own: here at least the priority that link has.
  const words = rig.diode.on('sender', [
    ...['nice', '-n', '-5', program, ISOLATED_ADDRESS],
    ...[...numbers, files.live, files.old],
  ]);
  const flood = new Program('hostile', words, join(rig.dir, 'logs/hostile.log'));
  const pid = rig.world.linkPid();
  const pids = { link: pid, sender: rig.world.program('sender').pid };
  const cpuBefore = Object.entries(pids).map(([name, each]) => [name, cpuSeconds(each)] as const);
  const memory = { resident: 0, beside: 0 };
  while (!flood.ended) {
    await delay(500);
    const resident = residentBytes(pid);
    // Memory that blocks have used stays with the process.
    blocks.peak = Math.max(blocks.peak, await rig.number('blockBytes').catch(() => 0));
    memory.resident = Math.max(memory.resident, resident);
    memory.beside = Math.max(memory.beside, resident - blocks.peak);
  }
  const sent = JSON.parse(flood.output().trim().split('\n').at(-1) ?? '{}') as Sent;
  const cpu = cpuBefore.map(([name, before]) => [name, (cpuSeconds(pids[name as 'link']) - before) / sent.seconds]);
  return { sent, ...memory, cpu: Object.fromEntries(cpu) as Flood['cpu'] };
}

/** A transfer of an old session and one of the present one, recorded on their way. */
async function recordings(rig: Rig): Promise<{ readonly live: string; readonly old: string }> {
  const { world } = rig;
  const first = rig.submitFile('old.bin', 64 * MIB);
  const old = await record(rig, 'old');
  await world.bundle(first.sequence, ['published'], DEADLINE_MS);
  await world.program('sender').stop();
  await world.start('sender');
  const second = rig.submitFile('warm.bin', WARM_BYTES);
  const live = await record(rig, 'live');
  await world.bundle(second.sequence, ['published'], DEADLINE_MS);
  await delay(LINGER_MS);
  return { live, old };
}

/** What somebody on the fibre can send, at a rate, beside a transfer. */
export const hostile: ChaosCase = {
  name: 'hostile',
  about:
    '300,000 hostile datagrams a second beside a transfer at 500 Mb/s: no crash, flat memory, each one accounted for',
  run: async (figures) => {
    await using rig = await Rig.create({
      name: 'hostile',
      tune: ({ sender, link }) => {
        // The algorithm for fast links (docs/BENCHMARKS.md).
        for (const key of [...sender.channels, ...link.keys]) Object.assign(key, { algorithm: 'AES-256-GMAC' });
        sender.link.rate = '500Mbit/s';
        Object.assign(sender.carousel, { passes: 8, gap: '1s', topUps: 0 });
      },
    });
    const { world } = rig;
    const arrivals = new Arrivals(rig);
    await world.start('receiver');
    await world.start('sender');
    const files = await recordings(rig);
    const pid = world.linkPid();
    const floods: Flood[] = [];
    const blocks = { peak: 0 };
    for (const name of ['first.bin', 'second.bin']) {
      const { sequence } = rig.submitFile(name, BYTES);
      await until('the transfer to be on air', DEADLINE_MS, async () =>
        (await rig.number('blockBytes')) > MIB ? true : undefined,
      );
      floods.push(await flooded(rig, files, blocks));
      await world.bundle(sequence, ['published'], DEADLINE_MS);
      must(fileDigest(rig.stored(name)) === fileDigest(join(rig.dir, 'input', name)), 'other bytes were published');
    }
    mustEqual(world.linkPid(), pid, 'process of link');
    must(!/uncaught|link ended/.test(world.program('receiver').output()), 'link or receiver crashed');
    await world.program('sender').stop();
    await judge(rig, floods, arrivals, figures);
  },
};

/** Everything is accounted for, and memory is flat. */
async function judge(rig: Rig, floods: readonly Flood[], arrivals: Arrivals, figures: Figures): Promise<void> {
  const arrived = arrivals.count;
  // The numbers of link come once a second.
  const seen = await until('every datagram to be accounted for', 30_000, async () => {
    const { verdicts, drops } = await accounted(rig);
    return sum(verdicts) + drops === arrived ? { verdicts, drops } : undefined;
  }).catch(async () => accounted(rig));
  const total = (what: (flood: Flood) => number): number => floods.reduce((all, flood) => all + what(flood), 0);
  const [random, badTag, replayed, oldSession, seconds] = (
    ['random', 'badTag', 'replayed', 'oldSession', 'seconds'] as const
  ).map((name) => total(({ sent }) => sent[name])) as [number, number, number, number, number];
  const hostileSent = random + badTag + replayed + oldSession;
  const rate = hostileSent / seconds;
  const cores = (what: (flood: Flood) => number): string => `${((100 * total(what)) / floods.length).toFixed(0)} %`;
  const [early = 0, late = 0] = floods.map(({ beside }) => beside);
  const mib = (bytes: number): string => String(Math.round(bytes / MIB));
  Object.assign(figures, {
    'hostile datagrams': hostileSent,
    'of each kind': JSON.stringify({ random, badTag, replayed, oldSession }),
    'a second': Math.round(rate),
    'of the rate asked': `${String(Math.round((100 * rate) / RATE))} %`,
    'CPU of the generator': `${cores(({ sent }) => sent.cpu / sent.seconds)} of a core`,
    'CPU of link and sender': `${cores(({ cpu }) => cpu.link)} ${cores(({ cpu }) => cpu.sender)}`,
    'batches that its kernel refused': total(({ sent }) => sent.refused),
    'arrived in all': arrived,
    verdicts: JSON.stringify(seen.verdicts),
    'kernel drops': seen.drops,
    'MiB of link in either flood': floods.map(({ resident }) => mib(resident)).join(' '),
    'beside what blocks used': `${mib(early)} ${mib(late)}`,
  });
  mustEqual(sum(seen.verdicts) + seen.drops, arrived, 'datagrams accounted for');
  must(arrived >= hostileSent, 'the fibre lost hostile datagrams');
  must(late - early <= FLAT_BYTES, `memory of link grew by ${String(late - early)} bytes in the second flood`);
  for (const code of ['bad-tag', 'replayed', 'old-session'])
    must((seen.verdicts[code] ?? 0) > 0, `no ${code} was counted`);
  if (seen.drops === 0) mustEqual(seen.verdicts['bad-tag'], badTag, 'verdicts bad-tag');
}
