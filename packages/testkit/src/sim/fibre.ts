import { FDT_HEADER_BYTES } from '@sluice/alc';
import { type DatagramBatch, type DatagramSource, OperationalError, type ReceivedBatch } from '@sluice/ports';
import type { Random } from '../random.ts';
import type { Kernel, Process } from './kernel.ts';

/** What the fibre does. Probabilities are per datagram. */
export interface FibreFaults {
  loss: number;
  /** Gilbert and Elliott: probabilities of going into the bad state and out of it, and of a loss in it. */
  badBegins: number;
  badEnds: number;
  badLoss: number;
  duplicate: number;
  /** Held back by up to this many nanoseconds. */
  reorder: number;
  reorderNs: number;
  corrupt: number;
  truncate: number;
  /** Datagrams of strangers, of forgers, and older ones played again, for each that is sent. */
  foreign: number;
  forge: number;
  replay: number;
  dark: boolean;
  /** The sender's kernel takes no datagrams. */
  refuse: boolean;
}

export const CLEAR: FibreFaults = {
  ...{ loss: 0, badBegins: 0, badEnds: 1, badLoss: 0, duplicate: 0, reorder: 0, reorderNs: 0, corrupt: 0, truncate: 0 },
  ...{ foreign: 0, forge: 0, replay: 0, dark: false, refuse: false },
};

const FLIGHT_NS = 5000;
const PIECE = 2 ** 18;
/** Datagrams that are kept to be played again. */
const TAPED = 64;
/** What the kernel says of the socket's buffer. */
const RECEIVE_BUFFER = 2 ** 20;

/** Judges what link made of a datagram. */
export interface Judge {
  sent(datagram: Uint8Array): void;
  arrived(datagram: Uint8Array, take: () => void): void;
}

/** The one-way link: from the transmit thread to the socket of whatever link process runs. */
export class Fibre {
  faults: FibreFaults = { ...CLEAR };
  readonly counts = {
    ...{ sent: 0, lost: 0, burstLost: 0, dark: 0, duplicated: 0, reordered: 0, corrupted: 0, truncated: 0 },
    ...{ foreign: 0, forged: 0, replayed: 0, refused: 0, unheard: 0, delivered: 0 },
  };
  readonly #kernel: Kernel;
  readonly #random: Random;
  readonly #judge: Judge;
  readonly #tape: Uint8Array[] = [];
  #free = new Uint8Array(0);
  #bad = false;
  #socket: Socket | undefined;

  constructor(kernel: Kernel, judge: Judge) {
    this.#kernel = kernel;
    this.#random = kernel.random;
    this.#judge = judge;
  }

  /** @throws OperationalError where the sender's kernel takes nothing */
  offer({ bytes, size, count }: DatagramBatch): void {
    if (this.faults.refuse) {
      this.counts.refused += 1;
      throw new OperationalError('link-send', 'simulated', { retryable: true });
    }
    const copy = this.#room(size * count);
    copy.set(bytes.subarray(0, size * count));
    for (let i = 0; i < count; i += 1) this.#send(copy.subarray(i * size, (i + 1) * size));
  }

  /** Memory for datagrams under way, taken from larger pieces: the checker keeps all of a world anyway. */
  #room(length: number): Uint8Array {
    if (this.#free.length < length) this.#free = new Uint8Array(Math.max(PIECE, length));
    const room = this.#free.subarray(0, length);
    this.#free = this.#free.subarray(length);
    return room;
  }

  #send(datagram: Uint8Array): void {
    const { counts, faults } = this;
    counts.sent += 1;
    this.#judge.sent(datagram);
    if (this.#random.chance(this.#bad ? faults.badEnds : faults.badBegins)) this.#bad = !this.#bad;
    this.#record(datagram);
    this.#strangers();
    if (faults.dark) counts.dark += 1;
    else if (this.#random.chance(faults.loss)) counts.lost += 1;
    else if (this.#bad && this.#random.chance(faults.badLoss)) counts.burstLost += 1;
    else this.#pass(datagram);
  }

  /** The socket of a link process; an older one is gone. */
  open(process: Process, arena: { readonly bytes: Uint8Array; readonly at: number } | undefined): DatagramSource {
    this.#socket = new Socket(process, this.#kernel, this.#judge, arena);
    return this.#socket;
  }

  #record(datagram: Uint8Array): void {
    if (this.faults.replay === 0 && this.faults.forge === 0) return;
    if (this.#tape.length < TAPED) this.#tape.push(datagram);
    else this.#tape[this.#random.below(TAPED)] = datagram;
  }

  #strangers(): void {
    const { counts, faults } = this;
    const random = this.#random;
    if (random.chance(faults.foreign)) {
      counts.foreign += 1;
      this.#fly(random.bytes(random.below(1500)));
    }
    const old = this.#tape[random.below(Math.max(1, this.#tape.length))];
    if (old === undefined) return;
    if (random.chance(faults.replay)) {
      counts.replayed += 1;
      this.#fly(old);
    }
    if (random.chance(faults.forge)) {
      counts.forged += 1;
      this.#fly(forged(old, random));
    }
  }

  #pass(datagram: Uint8Array): void {
    const { counts, faults } = this;
    const random = this.#random;
    let sent = datagram;
    if (random.chance(faults.corrupt)) {
      counts.corrupted += 1;
      sent = datagram.slice();
      const at = random.below(sent.length);
      sent[at] = (sent[at] ?? 0) ^ (1 << random.below(8));
    }
    if (random.chance(faults.truncate)) {
      counts.truncated += 1;
      sent = sent.subarray(0, random.below(sent.length));
    }
    const copies = random.chance(faults.duplicate) ? 2 : 1;
    counts.duplicated += copies - 1;
    for (let i = 0; i < copies; i += 1) {
      const held = random.chance(faults.reorder) ? random.below(faults.reorderNs) : 0;
      if (held > 0) counts.reordered += 1;
      this.#fly(sent, held);
    }
  }

  #fly(datagram: Uint8Array, held = 0): void {
    this.#kernel.after(FLIGHT_NS + held, undefined, () => {
      if (this.#socket?.offer(datagram) === true) this.counts.delivered += 1;
      else this.counts.unheard += 1;
    });
  }
}

/** One that looks like ours: another number, other content, the old tag. */
function forged(old: Uint8Array, random: Random): Uint8Array {
  const made = old.slice();
  const from = random.chance(0.5) ? FDT_HEADER_BYTES : 19;
  for (let i = 0; i < 3; i += 1) {
    const at = from + random.below(Math.max(1, made.length - from));
    if (at < made.length) made[at] = random.below(256);
  }
  return made;
}

/** A bound socket. */
class Socket implements DatagramSource {
  readonly port = 5400;
  readonly #process: Process;
  readonly #kernel: Kernel;
  readonly #judge: Judge;
  readonly #arena: { readonly bytes: Uint8Array; readonly at: number } | undefined;
  readonly startRuns?: (runs: Uint32Array, onRuns: (count: number) => void) => void;
  #take: ((datagram: Uint8Array) => void) | undefined;

  constructor(
    process: Process,
    kernel: Kernel,
    judge: Judge,
    arena: { readonly bytes: Uint8Array; readonly at: number } | undefined,
  ) {
    this.#process = process;
    this.#kernel = kernel;
    this.#judge = judge;
    this.#arena = arena;
    if (arena === undefined) return;
    this.startRuns = (runs, onRuns) => {
      this.#take = (datagram) => {
        arena.bytes.set(datagram, arena.at);
        runs.set([arena.at, datagram.length, datagram.length]);
        onRuns(1);
      };
    };
  }

  start(onBatch: (batch: ReceivedBatch) => void): void {
    this.#take = (bytes) => onBatch({ bytes, offsets: [0], lengths: [bytes.length], count: 1 });
  }

  /** False when nobody listens. */
  offer(datagram: Uint8Array): boolean {
    if (!this.#process.alive) return false;
    // A run of no bytes is none: the kernel gives an empty datagram to nobody here.
    if (this.#arena !== undefined && datagram.length === 0) return false;
    const take = this.#take;
    if (take === undefined) return false;
    this.#kernel.become(this.#process);
    this.#judge.arrived(datagram, () => take(datagram));
    return true;
  }

  kernelDrops(): number {
    return 0;
  }

  receiveBuffer(): number {
    return RECEIVE_BUFFER;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
