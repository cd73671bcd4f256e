import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { SenderLedger } from '@sluice/ledger';
import { Carousel } from '../src/carousel.ts';
import { digestOf, scratch } from './inputs.ts';

const GAP_MS = 600_000;
const idOf = (name: string) => digestOf(Buffer.from(name));

/** A ledger with sealed bundles, and which passes were begun. */
class Line {
  readonly ledger = new SenderLedger(join(scratch(), 'ledger.sqlite'));
  readonly begun: string[] = [];
  readonly #names = new Map<string, string>();
  carousel: Carousel;

  constructor(...names: readonly string[]) {
    onTestFinished(() => {
      this.carousel.stop();
      this.ledger.close();
    });
    for (const name of names) this.seal(name);
    this.carousel = this.turn(3);
  }

  seal(name: string): void {
    this.#names.set(idOf(name), name);
    const make = () => ({ id: idOf(name), envelope: Buffer.from(name) });
    const release = { release: idOf('release'), releaseSize: 1, objects: [], bytes: 1 };
    this.ledger.sealBundle({ channel: 'prod', source: name, name, ...release, make });
  }

  turn(passes: number, after = { topUps: 0, timeToLive: 0 }): Carousel {
    this.carousel = new Carousel({
      schedule: { passes, gap: GAP_MS, longestGap: 20 * GAP_MS, ...after },
      channels: ['prod'],
      ledger: this.ledger,
      transmit: ({ id, passesDone }, kind) => {
        if (kind === 'full') this.ledger.passBegun(id);
        this.begun.push(`${this.#names.get(id) ?? '?'} ${passesDone}${kind === 'full' ? '' : ` ${kind}`}`);
      },
    });
    return this.carousel;
  }

  done(name: string, pass: number): void {
    this.carousel.passDone(idOf(name), pass);
  }
}

describe('the carousel', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('sends each bundle as often as it is told, with the gap between the end of one pass and the next', () => {
    const line = new Line('a');
    line.done('a', 0);
    vi.advanceTimersByTime(GAP_MS - 1);
    expect(line.begun).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(line.begun).toEqual(['a 1']);
    vi.advanceTimersByTime(10 * GAP_MS);
    expect(line.begun).toEqual(['a 1']);
    line.done('a', 1);
    vi.advanceTimersByTime(GAP_MS);
    line.done('a', 2);
    vi.advanceTimersByTime(10 * GAP_MS);
    expect(line.begun).toEqual(['a 1', 'a 2']);
    expect(line.ledger.bundle(idOf('a'))?.state).toBe('sent');
    expect(line.ledger.unfinishedCount()).toBe(0);
  });

  it('takes up what an earlier run left: a pass that was cut off begins anew at once, the next one after the gap', () => {
    const line = new Line('new', 'cut', 'later', 'over');
    line.ledger.passBegun(idOf('cut'));
    line.ledger.passDone(idOf('cut'), 0, 3);
    line.ledger.passBegun(idOf('cut'));
    line.ledger.passDone(idOf('later'), 0, 3);
    line.ledger.passDone(idOf('over'), 2, 3);
    line.turn(3).resume();
    expect(line.begun).toEqual(['new 0', 'cut 1']);
    vi.advanceTimersByTime(GAP_MS);
    expect(line.begun).toEqual(['new 0', 'cut 1', 'later 1']);
    vi.advanceTimersByTime(10 * GAP_MS);
    expect(line.begun).toHaveLength(3);
  });

  it('that is told of fewer passes leaves those that have had them', () => {
    const line = new Line('a', 'b');
    line.ledger.passDone(idOf('a'), 1, 3);
    line.turn(2).resume();
    vi.advanceTimersByTime(10 * GAP_MS);
    expect(line.begun).toEqual(['b 0']);
  });

  it('decays: repair symbols alone, then statements, with gaps that double up to the longest, while the bundle lives', () => {
    const line = new Line('a', 'b');
    line.turn(2, { topUps: 2, timeToLive: 2 });
    const times: string[] = [];
    let pass = 1;
    line.done('a', pass);
    for (let minutes = 0; minutes < 800; minutes += 10) {
      vi.advanceTimersByTime(GAP_MS);
      for (const begun of line.begun.splice(0)) {
        times.push(`${minutes + 10}: ${begun}`);
        pass += 1;
        line.done('a', pass);
      }
    }
    expect(times).toEqual([
      '20: a 2 top-up',
      '60: a 3 top-up',
      '140: a 4 statements',
      '300: a 5 statements',
      '500: a 6 statements',
      '700: a 7 statements',
    ]);
    expect(line.ledger.bundle(idOf('a'))?.state).toBe('sent');
    // Two more bundles of the channel, and its time is over.
    line.seal('c');
    vi.advanceTimersByTime(100 * GAP_MS);
    expect(line.begun).toEqual([]);
    line.turn(2, { topUps: 2, timeToLive: 2 }).resume();
    vi.advanceTimersByTime(10 * GAP_MS);
    expect(line.begun).toEqual(['b 0', 'c 0']);
  });

  it('goes on with what lives after a restart, from the first gap on', () => {
    const line = new Line('a', 'b');
    line.done('a', 5);
    line.done('b', 2);
    line.carousel.stop();
    line.turn(3, { topUps: 2, timeToLive: 9 }).resume();
    vi.advanceTimersByTime(GAP_MS - 1);
    expect(line.begun).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(line.begun).toEqual(['b 3 top-up', 'a 6 statements']);
  });

  it('begins nothing any more once it is stopped', () => {
    const line = new Line('a', 'b');
    line.done('a', 0);
    line.done('b', 0);
    line.carousel.stop();
    vi.advanceTimersByTime(10 * GAP_MS);
    expect(line.begun).toEqual([]);
  });
});
