import { readSn, readTsi, tsiClass } from '@sluice/alc';
import { createCodec } from '@sluice/fec';
import type { LinkKey, Verdict } from '@sluice/ports';
import { DEFAULT_LIMITS, receiveArenaBytes, type ReceiveEvent, ReceiveMachine } from '@sluice/transfer';
import { sha256 } from '@sluice/trust';
import { type LinkIo, openSource, RECEIVE_BYTES } from '@sluice/udp';
import { Arena } from '@sluice/wasm';
import { type SeenStep, Tally } from './tally.ts';

const TICK_MS = 200;

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly io: LinkIo;
  readonly receiveBuffer: number;
  readonly key: LinkKey;
  /** After this much silence behind the first datagram the sweep is over. */
  readonly quietMs: number;
  /** A step is over, or all of them: called once for each session. */
  readonly onStep: (step: SeenStep) => void;
  readonly onListening: (port: number, receiveBuffer: number) => void;
  readonly signal: AbortSignal;
}

export interface Heard {
  readonly steps: readonly SeenStep[];
  readonly symbolBytes: number;
  readonly io: string;
}

const nowNs = (): number => performance.now() * 1e6;
/** Datagrams that hold: new ones. All others are somebody else's, or came twice. */
const COUNTED: ReadonlySet<Verdict> = new Set(['accepted', 'surplus', 'unknown-toi-overflow', 'memory-limit']);

/** Receives the steps of a sweep by the receiving machine, and keeps nothing but counts. */
export class Listener {
  readonly #options: ListenOptions;
  readonly #tallies = new Map<number, Tally>();
  #machine: ReceiveMachine | undefined;
  #current: Tally | undefined;
  #drops = 0;
  #symbolBytes = 0;

  constructor(options: ListenOptions) {
    this.#options = options;
  }

  async run(): Promise<Heard> {
    const { host, port, io, receiveBuffer, key, quietMs, signal, onListening } = this.#options;
    const limits = { ...DEFAULT_LIMITS, objects: 1000, tois: 1000 };
    const arena = Arena.create(receiveArenaBytes(limits) + RECEIVE_BYTES);
    const memory = { bytes: arena.bytes, at: arena.take(RECEIVE_BYTES) };
    const source = await openSource({ host, port, receiveBuffer }, io, memory);
    const keys: LinkKey[] = [];
    keys[key.asid] = key;
    const spool = {
      open: () => ({ stored: new Uint8Array() }),
      block: (_: unknown, __: number, ___: number, ____: Uint8Array, release: () => void) => {
        release();
        if (this.#current !== undefined) this.#current.blocksWhole += 1;
        return 'stored' as const;
      },
    };
    const onEvent = (event: ReceiveEvent): void => {
      this.#hear(event);
    };
    const machine = new ReceiveMachine({ keys, codec: createCodec(), sha256, spool, onEvent, arena }, limits, 0);
    this.#machine = machine;
    const { runs } = machine;
    if (source.startRuns === undefined || runs === undefined) {
      source.start((batch) => {
        for (let i = 0; i < batch.count; i += 1) this.#one(batch.bytes, batch.offsets[i] ?? 0, batch.lengths[i] ?? 0);
      });
    } else {
      source.startRuns(runs, (count) => {
        machine.receiveRuns(count, nowNs(), (batch) => {
          for (let i = 0; i < batch.count; i += 1)
            this.#count(batch.bytes, batch.offsets[i] ?? 0, batch.lengths[i] ?? 0, batch.verdicts[i] ?? 'bad-tag');
        });
      });
    }
    onListening(source.port, source.receiveBuffer());
    try {
      await this.#untilQuiet(quietMs, signal, () => source.kernelDrops());
    } finally {
      await source.close();
    }
    this.#end();
    return { steps: this.#steps(), symbolBytes: this.#symbolBytes, io: source.io };
  }

  async #untilQuiet(quietMs: number, signal: AbortSignal, drops: () => number): Promise<void> {
    while (!signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      const now = drops();
      if (this.#current !== undefined) this.#current.kernelDrops += now - this.#drops;
      this.#drops = now;
      if (this.#current !== undefined && nowNs() - this.#current.lastAt > quietMs * 1e6) return;
    }
  }

  #one(bytes: Uint8Array, offset: number, length: number): void {
    const verdict = this.#machine?.receive(bytes, offset, length, nowNs()) ?? 'bad-tag';
    this.#count(bytes, offset, length, verdict);
  }

  #count(bytes: Uint8Array, offset: number, length: number, verdict: Verdict): void {
    if (!COUNTED.has(verdict)) return;
    const tsi = readTsi(bytes, offset);
    if (tsiClass(tsi) !== 'media') return;
    const tally = this.#current?.session === tsi ? this.#current : this.#enter(tsi);
    tally.bytes = length;
    tally.add(readSn(bytes, offset), nowNs());
  }

  #enter(tsi: number): Tally {
    const known = this.#tallies.get(tsi);
    if (known !== undefined) return known;
    this.#end();
    const tally = new Tally(tsi, 0);
    this.#tallies.set(tsi, tally);
    this.#current = tally;
    return tally;
  }

  #end(): void {
    if (this.#current !== undefined) this.#options.onStep(this.#current.step());
  }

  #hear(event: ReceiveEvent): void {
    // A whole batch is received before it is counted: its blocks belong to the session that it begins.
    if (event.type === 'session' && tsiClass(event.tsi) === 'media') this.#enter(event.tsi);
    if (event.type !== 'object') return;
    this.#symbolBytes = event.info.symbolBytes;
    if (this.#current !== undefined) this.#current.blocks = event.blocks;
  }

  /** Sessions are numbered one after the other: one that is not there is a step of which nothing came. */
  #steps(): SeenStep[] {
    const sessions = [...this.#tallies.keys()];
    const [first, last] = [Math.min(...sessions), Math.max(...sessions)];
    const steps: SeenStep[] = [];
    for (let session = first; session <= last; session += 1)
      steps.push((this.#tallies.get(session) ?? new Tally(session, 0)).step());
    return steps;
  }
}
