import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { type Cell, type Context, reason } from './cell.ts';
import type { Input } from './input.ts';
import type { Net } from './net.ts';
import { searchRate } from './search.ts';
import type { Settings } from './settings.ts';
import { type Carried, carryOnce, type Run } from './sluice.ts';
import { median } from './stats.ts';

export interface SluiceCellOptions {
  readonly net: () => Net;
  readonly linkPort?: number;
  readonly settings: Settings;
  /** `true`: the rate in the settings is the measurement's own, and a loss is a failure. */
  readonly fixedRate?: boolean;
  readonly byHand: readonly (readonly [path: string, value: unknown])[];
  readonly make: (directory: string) => Input;
  /** A smaller bundle for the search. */
  readonly probe: (directory: string) => Input;
  readonly repositories?: readonly string[];
  readonly warmUp: number;
  readonly runs: number;
  readonly countFsyncs?: boolean;
}

/** Before the first lower rate: what a sender without a ceiling put on the net, the receiver did not take. */
const FIRST_STEP = 0.8;
const SEARCH = { factor: 1.3, tolerance: 0.06, tries: 7 };
/** After a loss at a rate that the search found. */
const STEP_DOWN = 0.95;
const STEPS_DOWN = 6;
/** A sender that is to keep a rate and puts less than this part of it on the net did not keep it. */
const RATE_HELD = 0.9;

/** Sluice in one setting. The sender has no ceiling as long as the receiver keeps up; else the highest rate that is found lossless. */
export class SluiceCell implements Cell {
  readonly name: string;
  readonly samples: Carried[] = [];
  failure: string | undefined;
  readonly notes: string[] = [];
  readonly #context: Context;
  readonly #options: SluiceCellOptions;
  /** Ethernet bits per second; undefined for no ceiling. */
  rate: number | undefined;
  #losses = 0;

  constructor(name: string, context: Context, options: SluiceCellOptions) {
    this.name = name;
    this.#context = context;
    this.#options = options;
    this.rate = options.settings.rate;
  }

  get settings(): Settings {
    return { ...this.#options.settings, rate: this.rate };
  }

  get wanting(): boolean {
    return this.failure === undefined && this.samples.length < this.#options.runs;
  }

  async measure(): Promise<void> {
    const { say } = this.#context;
    try {
      const run = await this.#run(this.#options.make, this.rate);
      if ('carried' in run) {
        this.samples.push(run.carried);
        say(`${this.name}: ${line(run.carried)}`);
        this.#note(run.carried);
        return;
      }
      say(`${this.name}: lost at ${rateText(this.rate)} (${run.lost})`);
      await this.#slower(run.offered);
    } catch (error) {
      this.failure = reason(error);
    }
  }

  /** What a reader of the figures has to know. */
  #note({ wireMbps, warmUpLost }: Carried): void {
    const { fixedRate, settings } = this.#options;
    const wanted = (settings.rate ?? 0) / 1e6;
    if (fixedRate === true && wireMbps < wanted * RATE_HELD)
      this.notes.push(`${this.name}: the sender put ${wireMbps.toFixed(0)} Mb/s on the net, not ${wanted.toFixed(0)}`);
    if (warmUpLost) this.notes.push(`${this.name}: the bundle to warm up was lost at ${rateText(this.rate)}`);
  }

  /** A lower rate; what was measured before at the higher one is no lossless result, and goes. */
  async #slower(offered: number): Promise<void> {
    this.samples.length = 0;
    this.#losses += 1;
    if (this.#options.fixedRate === true) throw new Error(`lost at the rate that it is to be measured at`);
    if (this.#losses > STEPS_DOWN) throw new Error('lost at every rate that was tried');
    if (this.rate !== undefined) {
      this.rate *= STEP_DOWN;
      return;
    }
    const { say } = this.#context;
    this.rate = await searchRate(
      async (rate) => {
        const run = await this.#run(this.#options.probe, rate);
        say(`${this.name}: probe at ${rateText(rate)}: ${'carried' in run ? line(run.carried) : run.lost}`);
        return 'carried' in run;
      },
      { ...SEARCH, start: offered * FIRST_STEP, ceiling: offered },
    );
    if (this.rate === undefined) throw new Error('lost at every rate that was tried');
    say(`${this.name}: lossless at ${rateText(this.rate)}`);
  }

  #run(make: (directory: string) => Input, rate: number | undefined): Promise<Run> {
    const { net, settings, ...options } = this.#options;
    const { base, keysFrom, keep } = this.#context;
    return carryOnce({
      ...options,
      dir: mkdtempSync(join(base, `${this.name}-`)),
      keysFrom,
      net: net(),
      settings: { ...settings, rate },
      make,
      keep,
    });
  }

  median(of: (carried: Carried) => number): number | null {
    return this.samples.length === 0 ? null : median(this.samples.map(of));
  }
}

export const rateText = (rate: number | undefined): string =>
  rate === undefined ? 'no ceiling' : `${(rate / 1e6).toFixed(0)} Mb/s`;

const line = (carried: Carried): string =>
  [
    `${carried.linkGoodputMbps.toFixed(0)} Mb/s (${carried.goodputMbps.toFixed(0)} from submit)`,
    `wire ${carried.wireMbps.toFixed(0)}`,
    `CPU-s/GiB ${carried.cpuSender.toFixed(2)} + ${carried.cpuReceiver.toFixed(2)}`,
    `machine ${carried.cpuMachine.toFixed(2)}`,
    `peak ${carried.rssSenderMiB.toFixed(0)} + ${carried.rssReceiverMiB.toFixed(0)} MiB`,
    `kernel drops ${String(carried.kernelDrops)}`,
    ...(carried.lostOnNet > 0 ? [`lost ${String(carried.lostOnNet)}`] : []),
    ...(carried.recovered > 0 ? [`recovered ${String(carried.recovered)}`] : []),
    ...(carried.fsyncs === undefined
      ? []
      : [`fsyncs ${String(carried.fsyncs.sender)} + ${String(carried.fsyncs.receiver)}`]),
  ].join(', ');
