import { closeSync, existsSync, openSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { has } from '../harbor/needs.ts';
import { type Cell, type Context, reason } from './cell.ts';
import type { Net } from './net.ts';
import { iperf3, lidi, udpcast } from './peers.ts';
import { searchRate } from './search.ts';
import { median, MIB } from './stats.ts';

/** A peer: its rate in Mb/s, some times over. */
export class PeerCell implements Cell {
  readonly name: string;
  readonly samples: number[] = [];
  failure: string | undefined;
  readonly #context: Context;
  readonly #once: () => Promise<number>;

  constructor(name: string, context: Context, once: () => Promise<number>) {
    this.name = name;
    this.#context = context;
    this.#once = once;
  }

  get wanting(): boolean {
    return this.failure === undefined && this.samples.length < this.#context.rounds;
  }

  async measure(): Promise<void> {
    try {
      const rate = await this.#once();
      this.samples.push(rate);
      this.#context.say(`${this.name}: ${rate.toFixed(0)} Mb/s`);
    } catch (error) {
      this.failure = reason(error);
    }
  }

  get mbps(): number | null {
    return this.samples.length === 0 ? null : median(this.samples);
  }
}

export const iperfCell = (name: string, context: Context, net: () => Net, seconds: number, payload = 1400): PeerCell =>
  new PeerCell(name, context, () => iperf3(net(), join(context.base, 'iperf3.log'), seconds, payload));

/** A file for the peers that carry files; random bytes. */
export function peerFile(context: Context, bytes: number): string {
  const path = join(context.base, `peer-${String(bytes)}`);
  if (existsSync(path)) return path;
  const file = openSync(path, 'w');
  for (let done = 0; done < bytes; done += MIB) writeSync(file, randomBytes(Math.min(MIB, bytes - done)));
  closeSync(file);
  return path;
}

const SEARCH = { start: 500, factor: 1.6, tolerance: 0.06, tries: 8, ceiling: 8000 };
/** After a loss at the rate that the search found. */
const STEP_DOWN = 0.93;
const STEPS_DOWN = 6;

/** udpcast at the highest bit rate at which all of the file arrived. */
export class UdpcastCell extends PeerCell {
  constructor(name: string, context: Context, net: () => Net, bytes: number) {
    let rate: number | undefined;
    const at = (mbit: number): Promise<number | undefined> =>
      udpcast({ net: net(), file: peerFile(context, bytes), dir: join(context.base, 'udpcast') }, mbit);
    super(name, context, async () => {
      if (rate === undefined) {
        rate = await searchRate(async (mbit) => {
          const got = await at(mbit);
          context.say(
            `${name}: --max-bitrate ${mbit.toFixed(0)}m ${got === undefined ? 'loses' : `${got.toFixed(0)} Mb/s`}`,
          );
          return got !== undefined;
        }, SEARCH);
        if (rate === undefined) throw new Error('lost data at every rate that was tried');
      }
      for (let step = 0; step < STEPS_DOWN; step += 1) {
        const got = await at(rate);
        if (got !== undefined) return got;
        // What was measured at a rate that does not hold is no lossless rate.
        this.samples.length = 0;
        rate *= STEP_DOWN;
        context.say(`${name}: a loss; on with --max-bitrate ${rate.toFixed(0)}m`);
      }
      throw new Error('lost data at every rate that was tried');
    });
  }
}

const LIDI = ['diode-oneshot-send', 'diode-oneshot-receive'];

/** Why lidi is not measured, undefined when it is: no distribution has it. */
export function lidiMissing(): string | undefined {
  const absent = LIDI.find((program) => !has(program));
  return absent === undefined ? undefined : `${absent} is not on the PATH`;
}

export const lidiCell = (name: string, context: Context, net: () => Net, bytes: number): PeerCell =>
  new PeerCell(name, context, async () => {
    const got = await lidi({ net: net(), file: peerFile(context, bytes), dir: join(context.base, 'lidi') });
    if (got === undefined) context.say(`${name}: lost data; it counts as 0`);
    return got ?? 0;
  });
