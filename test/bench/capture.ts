import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

const FILE_HEADER = 24;
const PACKET_HEADER = 16;
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;

export interface CapturedPacket {
  /** Milliseconds since 1970, by the kernel. */
  readonly at: number;
  /** Bytes of the frame as it was. */
  readonly length: number;
  readonly bytes: Buffer;
}

/** Takes a little-endian pcap stream apart as it comes. */
export class PcapStream {
  #rest = Buffer.alloc(0);
  #perSecond = 0;

  push(chunk: Uint8Array): CapturedPacket[] {
    let bytes = Buffer.concat([this.#rest, chunk]);
    if (this.#perSecond === 0 && bytes.length >= FILE_HEADER) {
      const magic = bytes.readUInt32LE(0);
      if (magic !== MAGIC_MICROSECONDS && magic !== MAGIC_NANOSECONDS) throw new Error('not a pcap stream');
      this.#perSecond = magic === MAGIC_NANOSECONDS ? 1e9 : 1e6;
      bytes = bytes.subarray(FILE_HEADER);
    }
    const packets: CapturedPacket[] = [];
    while (this.#perSecond > 0 && bytes.length >= PACKET_HEADER) {
      const end = PACKET_HEADER + bytes.readUInt32LE(8);
      if (bytes.length < end) break;
      const at = bytes.readUInt32LE(0) * 1000 + (bytes.readUInt32LE(4) * 1000) / this.#perSecond;
      packets.push({ at, length: bytes.readUInt32LE(12), bytes: bytes.subarray(PACKET_HEADER, end) });
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes;
    return packets;
  }
}

/** FDT Instances go ahead of what they name; those of heartbeats name another type. */
const BUNDLE_TYPES = ['application/vnd.dsse', 'application/octet-stream', 'application/x-tar'];

/** True for the frame that announces an object of a bundle, whatever the addresses in front. */
export const announcesBundle = ({ bytes }: CapturedPacket): boolean =>
  BUNDLE_TYPES.some((type) => bytes.includes(`Content-Type="${type}`));

/**
 * Watches an interface until the first frame that `wanted` picks, by the kernel's time stamp and not by what a sender
 * says of itself. It ends with that frame, so the traffic that follows is not burdened.
 */
export class FirstFrame {
  readonly #child: ChildProcess;
  readonly #seen: Promise<number>;
  #at: number | undefined;

  private constructor(child: ChildProcess, wanted: (packet: CapturedPacket) => boolean) {
    this.#child = child;
    const stream = new PcapStream();
    this.#seen = new Promise((resolve) => {
      child.stdout?.on('data', (chunk: Buffer) => {
        if (this.#at !== undefined) return;
        this.#at = stream.push(chunk).find(wanted)?.at;
        if (this.#at === undefined) return;
        child.kill('SIGKILL');
        resolve(this.#at);
      });
    });
  }

  /** `on` gives the words that run a program in the right namespace. */
  static async watch(
    on: (argv: readonly string[]) => readonly string[],
    device: string,
    port: number,
    wanted: (packet: CapturedPacket) => boolean,
  ): Promise<FirstFrame> {
    const words = ['tcpdump', '-i', device, '-w', '-', '-U', '--immediate-mode', '-s', '65535', '-B', '8192'];
    const [file = '', ...args] = on([...words, 'udp', 'dst', 'port', String(port)]);
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const first = new FirstFrame(child, wanted);
    let said = '';
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`tcpdump ended: ${said}`)));
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes('listening on')) resolve();
      });
    });
    return first;
  }

  /** Milliseconds since 1970; undefined so far. */
  get at(): number | undefined {
    return this.#at;
  }

  get seen(): Promise<number> {
    return this.#seen;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}
