import { join } from 'node:path';
import { makeInput } from '../demo/input.ts';
import type { Cell, Context } from './cell.ts';
import { makeImages } from './image.ts';
import { makeFiles, makeObject } from './input.ts';
import { loopback, lossyLoopback, type Net, vethPair } from './net.ts';
import { iperfCell, lidiCell, lidiMissing, UdpcastCell } from './peer-cells.ts';
import { FAST, ROBUST, type Settings } from './settings.ts';
import { SluiceCell, type SluiceCellOptions } from './sluice-cell.ts';
import { GIB, MIB, printBytes } from './stats.ts';

export interface PlanOptions {
  readonly full: boolean;
  /** Bytes of the one object. */
  readonly size: number;
  /** Files of the bundle of small ones. */
  readonly files: number;
  readonly warmUp: number;
  readonly iperfSeconds: number;
  /** Ethernet bits per second to begin with, where the settings have no ceiling of their own. */
  readonly rate: number | undefined;
  readonly byHand: readonly (readonly [path: string, value: unknown])[];
  /** Names of cells, or what comes before a dot in them; empty for all. */
  readonly only: readonly string[];
}

const FILE_BYTES = 4096;
/** strace slows what syncs much: its bundle of files is this part of the other. */
const TRACED_PART = 10;
const LOSS_PORT = 5000;
/** Above the receive buffer several times, so that a probe cannot hide in it. */
const PROBE_BYTES = 512 * MIB;
const PEER_BYTES = 256 * MIB;
/** At 1 Gb/s a group as long as 20 ms of outage want it (PROTOCOL.md I-1) has 55 MiB. */
const RSS: Partial<Settings> = { rate: 1e9, groupBytes: 64 * MIB };
/**
 * 20 % of repair in blocks of 100. In blocks of 64 one of 12,000 would lose more than 13 of 77 at 5 % about every fourth
 * run; of 120 more than 20 are lost once in some hundred runs.
 */
export const REPAIR_20: Settings = { ...FAST, fec: { profile: 'explicit', maxBlock: 100, repair: 20 } };

/** Nets are made when they are first used, and taken away at the end. */
class Nets {
  readonly #made = new Map<string, Net>();

  get(name: string, make: () => Net): () => Net {
    return () => {
      const net = this.#made.get(name) ?? make();
      this.#made.set(name, net);
      return net;
    };
  }

  destroy(): void {
    for (const net of this.#made.values()) net.destroy();
  }
}

const wanted = (name: string, only: readonly string[]): boolean =>
  only.length === 0 || only.some((word) => name === word || name.startsWith(`${word}.`));

/** All measurements of a run, in the order in which they take turns. */
export class Plan {
  readonly cells: readonly Cell[];
  readonly skipped: readonly string[];
  readonly #nets = new Nets();
  readonly #context: Context;
  readonly #options: PlanOptions;

  constructor(context: Context, options: PlanOptions) {
    this.#context = context;
    this.#options = options;
    const all = [...this.#links(), ...this.#losses(), ...this.#others(), ...(options.full ? this.#full() : [])];
    this.cells = all.filter(({ name }) => wanted(name, options.only));
    const unknown = options.only.find((word) => !all.some(({ name }) => wanted(name, [word])));
    if (unknown !== undefined)
      throw new Error(`there is no measurement "${unknown}"; there are ${all.map(({ name }) => name).join(', ')}`);
    const lidi = lidiMissing();
    this.skipped = lidi === undefined ? [] : [`lidi: ${lidi}`];
  }

  destroy(): void {
    this.#nets.destroy();
  }

  cell(name: string): Cell | undefined {
    return this.cells.find((cell) => cell.name === name);
  }

  #sluice(name: string, net: () => Net, settings: Settings, more: Partial<SluiceCellOptions> = {}): SluiceCell {
    const { size, warmUp, byHand, rate } = this.#options;
    const given = rate === undefined || more.fixedRate === true ? {} : { rate };
    return new SluiceCell(name, this.#context, {
      net,
      settings: { ...settings, ...given },
      byHand,
      make: (directory) => makeObject(directory, size),
      probe: (directory) => makeObject(directory, Math.min(size, PROBE_BYTES)),
      warmUp,
      runs: this.#context.rounds,
      ...more,
    });
  }

  get #loopback(): () => Net {
    return this.#nets.get('loopback', loopback);
  }

  #links(): Cell[] {
    const { iperfSeconds, size } = this.#options;
    const peerBytes = Math.min(size, PEER_BYTES);
    const cells: Cell[] = [];
    for (const [name, net] of [
      ['loopback', this.#loopback],
      ['veth', this.#nets.get('veth', vethPair)],
    ] as const) {
      cells.push(
        iperfCell(`${name}.iperf3`, this.#context, net, iperfSeconds),
        this.#sluice(`${name}.fast`, net, FAST),
        this.#sluice(`${name}.robust`, net, ROBUST),
        new UdpcastCell(`${name}.udpcast`, this.#context, net, peerBytes),
      );
      if (lidiMissing() === undefined) cells.push(lidiCell(`${name}.lidi`, this.#context, net, size));
    }
    return cells;
  }

  #loss(name: string, percent: number, settings: Settings): SluiceCell {
    const net = this.#nets.get(`loss ${String(percent)}`, () => lossyLoopback(percent, LOSS_PORT));
    return this.#sluice(name, net, settings, { linkPort: LOSS_PORT });
  }

  #losses(): Cell[] {
    return [this.#loss('loss.clean', 0, FAST), this.#loss('loss.p1', 1, FAST), this.#loss('loss.p5', 5, REPAIR_20)];
  }

  #small(name: string, files: number, more: Partial<SluiceCellOptions> = {}): SluiceCell {
    return this.#sluice(name, this.#loopback, FAST, {
      make: (directory) => makeFiles(directory, files, FILE_BYTES),
      ...more,
    });
  }

  #rss(name: string, settings: Settings, size = this.#options.size): SluiceCell {
    const make = (directory: string) => makeObject(directory, size);
    return this.#sluice(name, this.#loopback, { ...settings, ...RSS }, { fixedRate: true, runs: 1, make });
  }

  #others(): Cell[] {
    const { files } = this.#options;
    const traced = { runs: 1, countFsyncs: true };
    return [
      this.#rss('rss.fast', FAST),
      this.#rss('rss.robust', ROBUST),
      this.#small('small.files', files),
      this.#sluice('latency.1MiB', this.#loopback, FAST, { make: (directory) => makeObject(directory, MIB) }),
      this.#sluice('fsync.object', this.#loopback, FAST, traced),
      this.#small('fsync.files', Math.ceil(files / TRACED_PART), traced),
    ];
  }

  #full(): Cell[] {
    const jumbo = this.#nets.get('jumbo', () => vethPair(9000));
    const series = [64 * MIB, 256 * MIB, GIB, 2 * GIB, 4 * GIB, 8 * GIB];
    const { base } = this.#context;
    let images: ReturnType<typeof makeInput> | undefined;
    const layouts = (): ReturnType<typeof makeInput> => (images ??= makeInput(join(base, 'images')));
    return [
      iperfCell('full.jumbo.iperf3', this.#context, jumbo, this.#options.iperfSeconds, 8900),
      this.#sluice('full.jumbo.fast', jumbo, { ...FAST, symbolBytes: 8896 }),
      this.#sluice('full.jumbo.robust', jumbo, { ...ROBUST, symbolBytes: 8896 }),
      this.#sluice('full.image', this.#loopback, FAST, {
        make: (directory) => makeImages(layouts(), directory),
        repositories: ['library/bench'],
      }),
      this.#loss('full.loss.fast-0.1', 0.1, FAST),
      this.#loss('full.loss.fast-0.5', 0.5, FAST),
      this.#loss('full.loss.robust-1', 1, ROBUST),
      this.#loss('full.loss.robust-3', 3, ROBUST),
      ...series.map((size) =>
        this.#sluice(`full.series.${printBytes(size)}`, this.#loopback, FAST, {
          make: (directory) => makeObject(directory, size),
        }),
      ),
      this.#rss('full.rss.64MiB', ROBUST, 64 * MIB),
      this.#rss('full.rss.8GiB', ROBUST, 8 * GIB),
    ];
  }
}
