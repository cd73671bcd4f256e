import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { missing } from '../harbor/needs.ts';

export type Side = 'sender' | 'isolated';

export interface DiodeOptions {
  /** For the names of the namespaces; they are unique per call all the same. */
  readonly name: string;
  /** Random loss at the isolated side's ingress, in percent, to one tenth. */
  readonly lossPercent?: number;
  readonly mtu?: number;
  /** False: one datagram per frame on the link, as on a fibre; true: the kernel may pass merged ones along. */
  readonly offloads?: boolean;
  /** Runs deploy/mute.sh before the isolated interface is up, as its unit does. False shows what a stock host offers. */
  readonly mute?: boolean;
}

export const INTERFACE = 'dio0';
export const SENDER_ADDRESS = '10.99.0.1';
export const ISOLATED_ADDRESS = '10.99.0.2';
export const MUTE = join(import.meta.dirname, '../../deploy/mute.sh');

/** Why there can be no diode here, undefined when there can. In CI that is an error. */
export function diodeMissing(): string | undefined {
  const absent = missing('ip', 'nft', 'tc', 'ethtool', 'python3');
  return absent === undefined ? rootMissing() : `${absent} is not installed`;
}

/** Says `needs root` when we are not; in CI that is an error. */
export function rootMissing(): string | undefined {
  if (process.getuid?.() === 0) return undefined;
  if (process.env.CI === 'true') throw new Error('this test needs root, which CI must give it');
  return 'needs root';
}

const standing = new Set<Diode>();
// Whatever way this process ends, no namespace stays.
process.once('exit', () => {
  for (const diode of standing) diode.destroy();
});

/**
 * A data diode out of two network namespaces and a veth pair. What the isolated side offers to the link is dropped at
 * its egress, and counted; the sender has a static neighbour entry, since nothing will ever answer its ARP.
 */
export class Diode {
  readonly #namespaces: Readonly<Record<Side, string>>;
  readonly #options: DiodeOptions;

  private constructor(options: DiodeOptions) {
    const tag = `${options.name}-${randomBytes(3).toString('hex')}`;
    this.#namespaces = { sender: `${tag}-s`, isolated: `${tag}-i` };
    this.#options = options;
  }

  /** Needs root. */
  static create(options: DiodeOptions): Diode {
    const diode = new Diode(options);
    standing.add(diode);
    try {
      diode.#build();
    } catch (error) {
      diode.destroy();
      throw error;
    }
    return diode;
  }

  #build(): void {
    const { sender, isolated } = this.#namespaces;
    for (const namespace of [sender, isolated]) run(['ip', 'netns', 'add', namespace]);
    const peer = ['type', 'veth', 'peer', 'name', INTERFACE, 'netns', isolated];
    run(['ip', '-n', sender, 'link', 'add', INTERFACE, ...peer]);
    for (const side of ['sender', 'isolated'] as const) {
      this.exec(side, ['ip', 'link', 'set', 'lo', 'up']);
      this.exec(side, ['ip', 'link', 'set', INTERFACE, 'mtu', String(this.#options.mtu ?? 1500)]);
    }
    if (this.#options.offloads !== true) {
      this.exec('sender', ['ethtool', '-K', INTERFACE, 'tx-udp-segmentation', 'off', 'gso', 'off']);
    }
    this.exec('isolated', ['nft', '-f', '-'], rules(this.#options.lossPercent ?? 0));
    if (this.#options.mute !== false) this.exec('isolated', ['sh', MUTE, INTERFACE]);
    this.#bringUp('sender', SENDER_ADDRESS);
    this.#bringUp('isolated', ISOLATED_ADDRESS);
    const [link] = JSON.parse(this.exec('isolated', ['ip', '-j', 'link', 'show', INTERFACE])) as { address: string }[];
    const neighbour = [ISOLATED_ADDRESS, 'lladdr', link?.address ?? '', 'dev', INTERFACE, 'nud', 'permanent'];
    this.exec('sender', ['ip', 'neigh', 'replace', ...neighbour]);
  }

  #bringUp(side: Side, address: string): void {
    this.exec(side, ['ip', 'addr', 'add', `${address}/24`, 'dev', INTERFACE]);
    this.exec(side, ['ip', 'link', 'set', INTERFACE, 'up']);
  }

  /** Name of a side's namespace. */
  namespace(side: Side): string {
    return this.#namespaces[side];
  }

  /** The words that run `argv` on a side. */
  on(side: Side, argv: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.#namespaces[side], ...argv];
  }

  /** Runs `argv` on a side to its end; gives its standard output, throws when it fails. */
  exec(side: Side, argv: readonly string[], input = ''): string {
    return run(this.on(side, argv), input);
  }

  /** Frames that the isolated side offered to the link so far. */
  egressCount(): number {
    return this.#counter('out');
  }

  /** Datagrams lost on the link so far, by `lossPercent`. */
  ingressDropped(): number {
    return this.#counter('in');
  }

  #counter(chain: string): number {
    const text = this.exec('isolated', ['nft', 'list', 'chain', 'netdev', 'diode', chain]);
    const packets = /counter packets (\d+)/.exec(text)?.[1];
    if (packets === undefined) throw new Error(`the rig has no counter in its chain ${chain}:\n${text}`);
    return Number(packets);
  }

  /** What deploy/mute.sh says of the isolated interface, by the words before the colon. */
  muteStatus(): ReadonlyMap<string, string> {
    const lines = this.exec('isolated', ['sh', '-c', `sh ${MUTE} ${INTERFACE} status || true`])
      .trim()
      .split('\n');
    return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
  }

  /** Takes the namespaces away; programs still in them go on without a link. */
  destroy(): void {
    if (!standing.delete(this)) return;
    for (const namespace of Object.values(this.#namespaces)) {
      try {
        run(['ip', 'netns', 'del', namespace]);
      } catch (error) {
        // One that was never made, or is gone: nothing is left to take away.
        if (!String(error).includes('No such file')) throw error;
      }
    }
  }
}

/** Counts after every other hook (deploy/mute.sh stands at -500), so what is counted would have gone on the fibre. */
const rules = (lossPercent: number): string => `
table netdev diode {
  chain out {
    type filter hook egress device "${INTERFACE}" priority 1000; policy drop;
    counter drop
  }
  chain in {
    type filter hook ingress device "${INTERFACE}" priority 0; policy accept;
    meta l4proto udp numgen random mod 1000 < ${Math.round(lossPercent * 10)} counter drop
  }
}
`;

function run([file = '', ...args]: readonly string[], input = ''): string {
  return execFileSync(file, args, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
}
