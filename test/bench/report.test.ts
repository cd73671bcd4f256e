import { describe, expect, it } from 'vitest';
import type { Cell, Context } from './cell.ts';
import { loopback } from './net.ts';
import { PeerCell } from './peer-cells.ts';
import { makeReport, makeTable } from './report.ts';
import { FAST } from './settings.ts';
import type { Carried } from './sluice.ts';
import { SluiceCell } from './sluice-cell.ts';

const context: Context = { base: '/nowhere', keysFrom: '/nowhere', rounds: 3, keep: false, say: () => undefined };

const carried = (linkGoodputMbps: number, more: Partial<Carried> = {}): Carried => ({
  goodputMbps: linkGoodputMbps * 0.9,
  linkGoodputMbps,
  cpuSender: 2,
  cpuReceiver: 1,
  cpuMachine: 4,
  seconds: 10,
  linkSeconds: 9,
  firstDatagramMs: 100,
  rssSenderMiB: 200,
  rssReceiverMiB: 300,
  kernelDrops: 0,
  lostOnNet: 0,
  warmUpLost: false,
  wireMbps: 1000,
  recovered: 0,
  fsyncs: undefined,
  stages: [],
  effective: { senderIo: 'native', linkIo: 'native', receiveBuffer: 1 },
  ...more,
});

function sluice(name: string, samples: readonly Carried[]): SluiceCell {
  const make = () => ({ directory: '', bytes: 0, digests: [] });
  const options = { net: loopback, settings: FAST, byHand: [], make, probe: make, warmUp: 0, runs: 3 };
  const cell = new SluiceCell(name, context, options);
  cell.samples.push(...samples);
  return cell;
}

function peer(name: string, samples: readonly number[]): PeerCell {
  const cell = new PeerCell(name, context, () => Promise.resolve(0));
  cell.samples.push(...samples);
  return cell;
}

/** Every key of an object and of the objects in it, with dots. */
const keysOf = (value: unknown, prefix = ''): string[] =>
  typeof value !== 'object' || value === null || Array.isArray(value)
    ? [prefix]
    : Object.entries(value).flatMap(([key, each]) => keysOf(each, prefix === '' ? key : `${prefix}.${key}`));

const LINK = ['iperf3Mbps', 'udpcastMbps', 'lidiMbps'];
const PROFILE = ['goodputMbps', 'linkGoodputMbps', 'cpuSender', 'cpuReceiver'];
const KEYS = [
  'config',
  ...['loopback', 'veth'].flatMap((net) => [
    ...LINK.map((key) => `link.${net}.${key}`),
    ...['fast', 'robust'].flatMap((profile) => PROFILE.map((key) => `link.${net}.${profile}.${key}`)),
  ]),
  ...['clean', 'p1', 'p5'].map((loss) => `loss.${loss}.linkGoodputMbps`),
  'rss.senderMiB',
  'rss.receiverMiB',
  'small.filesPerSecond',
  'stages',
];

const CELLS: readonly Cell[] = [
  peer('loopback.iperf3', [3000, 3200, 3100]),
  sluice('loopback.fast', [carried(4000), carried(5000), carried(4500)]),
  sluice('rss.fast', [carried(900, { rssSenderMiB: 210, rssReceiverMiB: 300 })]),
  sluice('rss.robust', [carried(900, { rssSenderMiB: 190, rssReceiverMiB: 340 })]),
  sluice('small.files', [carried(100, { seconds: 20 }), carried(100, { seconds: 25 }), carried(100, { seconds: 10 })]),
];

describe('the report', () => {
  it('has exactly its keys, whatever was measured', () => {
    expect(keysOf(makeReport([], 'c', 1)).sort()).toEqual([...KEYS].sort());
    expect(keysOf(makeReport(CELLS, 'c', 1)).sort()).toEqual([...KEYS].sort());
  });

  it('has one more with the full run, by the name of each measurement', () => {
    const report = makeReport([...CELLS, sluice('full.image', [carried(7)]), peer('full.jumbo.iperf3', [9])], 'c', 1);
    expect(Object.keys(report).sort()).toEqual(['config', 'full', 'link', 'loss', 'rss', 'small', 'stages']);
    expect(report.full).toMatchObject({ image: { linkGoodputMbps: 7 }, 'jumbo.iperf3': { iperf3Mbps: 9 } });
  });

  it('gives medians, and null for what was not measured', () => {
    const { link } = makeReport(CELLS, 'c', 1);
    expect(link.loopback.iperf3Mbps).toBe(3100);
    expect(link.loopback.fast).toEqual({ goodputMbps: 4050, linkGoodputMbps: 4500, cpuSender: 2, cpuReceiver: 1 });
    expect(link.loopback.lidiMbps).toBeNull();
    expect(link.veth.fast.linkGoodputMbps).toBeNull();
  });

  it('gives the larger peak of the two profiles, and none when one is missing', () => {
    expect(makeReport(CELLS, 'c', 1).rss).toEqual({ senderMiB: 210, receiverMiB: 340 });
    const one = CELLS.filter(({ name }) => name !== 'rss.robust');
    expect(makeReport(one, 'c', 1).rss).toEqual({ senderMiB: null, receiverMiB: null });
  });

  it('counts files from submit to publish', () => {
    expect(makeReport(CELLS, 'c', 100_000).small.filesPerSecond).toBe(5000);
  });

  it('shows the stages of the run with the median goodput', () => {
    const stage = (nsPerDatagram: number) => [{ side: 'sender' as const, stop: '7 depart', nsPerDatagram }];
    const runs = [
      carried(1, { stages: stage(10) }),
      carried(3, { stages: stage(30) }),
      carried(2, { stages: stage(20) }),
    ];
    expect(makeReport([sluice('loopback.fast', runs)], 'c', 1).stages).toEqual(stage(20));
  });
});

describe('the table', () => {
  const rowOf = (text: string, start: string): string[] =>
    (text.split('\n').find((line) => line.startsWith(`| ${start}`)) ?? '').split('|').map((cell) => cell.trim());

  it('holds the goals that could be judged against what was wanted, and no others', () => {
    const table = makeTable(CELLS, makeReport(CELLS, 'c', 100_000));
    expect(rowOf(table, 'loopback, fast, over iperf3').slice(2, 4)).toEqual(['>= 1.3', (4500 / 3100).toFixed(2)]);
    expect(rowOf(table, 'CPU-s/GiB, both, fast, loopback')[3]).toBe('3.00');
    expect(table).not.toContain('over udpcast');
  });

  it('names what failed and why', () => {
    const cell = sluice('veth.fast', []);
    cell.failure = 'lost at every rate that was tried';
    expect(makeTable([cell], makeReport([cell], 'c', 1))).toContain('veth.fast FAILED: lost at every rate');
  });
});
