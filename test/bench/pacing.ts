// `node test/bench/pacing.ts [Mb/s ...]`: how well the sender keeps its rate, from the time stamps of a capture on a veth
// pair (docs/BENCHMARKS.md). Prints one line for each rate.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Diode, INTERFACE, ISOLATED_ADDRESS } from '../rig/diode.ts';
import { PcapStream } from './capture.ts';

const PORT = 4711;
const SECONDS = 4;
const ETHERNET_HEADER = 14;
const OVERHEAD = 38;
const DEFAULT_RATES = [10, 100, 500, 1000, 2000];

/** A frame: when it came, in milliseconds, and the link time it takes at the ceiling. */
interface Frame {
  readonly at: number;
  readonly bits: number;
}

async function framesOf(file: string): Promise<Frame[]> {
  const stream = new PcapStream();
  const frames: Frame[] = [];
  for await (const chunk of createReadStream(file)) {
    for (const { at, length } of stream.push(chunk as Buffer)) {
      frames.push({ at, bits: (length - ETHERNET_HEADER + OVERHEAD) * 8 });
    }
  }
  return frames;
}

/** The most bits within any stretch of one second. */
export function worstSecond(frames: readonly Frame[]): number {
  let [sum, most, first] = [0, 0, 0];
  for (const { at, bits } of frames) {
    sum += bits;
    while (at - (frames[first]?.at ?? at) >= 1000) {
      sum -= frames[first]?.bits ?? 0;
      first += 1;
    }
    most = Math.max(most, sum);
  }
  return most;
}

/** By how many milliseconds of link time the frames of any stretch exceed its length, at the worst. */
export function worstBurst(frames: readonly Frame[], rate: number): number {
  let [taken, least, most] = [0, Infinity, 0];
  for (const { at, bits } of frames) {
    least = Math.min(least, taken - at);
    taken += (bits / rate) * 1000;
    most = Math.max(most, taken - at - least);
  }
  return most;
}

async function measure(rate: number): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-pacing-'));
  const diode = Diode.create({ name: 'pace' });
  const file = join(directory, 'frames.pcap');
  try {
    const words = ['-i', INTERFACE, '-w', file, '--time-stamp-precision=nano', '-B', '65536', '-s', '64', '-n'];
    const [dump = '', ...rest] = diode.on('isolated', ['tcpdump', ...words, 'udp', 'port', String(PORT)]);
    const capture = spawn(dump, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
    for await (const chunk of capture.stderr) if (String(chunk).includes('listening on')) break;
    const sender = [join(import.meta.dirname, 'pacing-sender.ts'), ISOLATED_ADDRESS, String(PORT), String(rate)];
    const argv = diode.on('sender', [process.execPath, ...sender, String(SECONDS), join(directory, 'store')]);
    const [program = '', ...args] = argv;
    const counted = JSON.parse(execFileSync(program, args, { encoding: 'utf8' })) as {
      stalls: number;
      stalledNs: number;
      counters: { datagrams: number };
    };
    capture.kill('SIGINT');
    await once(capture, 'exit');
    const frames = await framesOf(file);
    // Without the lead after the statements, and what follows the pass.
    const first = frames.findIndex(({ at }, i) => i > 100 && at - (frames[0]?.at ?? 0) > 500);
    const steady = frames.slice(first, Math.floor(frames.length * 0.97));
    const bits = steady.slice(1).reduce((sum, frame) => sum + frame.bits, 0);
    const mean = (bits / ((steady.at(-1)?.at ?? 0) - (steady[0]?.at ?? 0))) * 1000;
    const ms = (n: number): string => n.toFixed(3);
    return [
      `${String(rate / 1e6)} Mb/s: mean ${((mean / rate) * 100).toFixed(2)} %`,
      `worst second ${((worstSecond(frames) / rate) * 100).toFixed(3)} %`,
      `worst burst ${ms(worstBurst(frames, rate))} ms (one datagram ${ms((1518 * 8e3) / rate)} ms)`,
      `stalls ${String(counted.stalls)}, ${ms(counted.stalledNs / 1e6)} ms`,
      `captured ${String(frames.length)} of ${String(counted.counters.datagrams)}`,
    ].join('; ');
  } finally {
    diode.destroy();
    rmSync(directory, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const rates = process.argv.slice(2).map(Number);
  for (const rate of rates.length > 0 ? rates : DEFAULT_RATES) console.log(await measure(rate * 1e6));
}
