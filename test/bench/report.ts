import type { Cell } from './cell.ts';
import { PeerCell } from './peer-cells.ts';
import { rateText, SluiceCell } from './sluice-cell.ts';
import type { Carried } from './sluice.ts';
import type { Stage } from './stages.ts';

type Figure = number | null;

interface ProfileFigures {
  readonly goodputMbps: Figure;
  readonly linkGoodputMbps: Figure;
  readonly cpuSender: Figure;
  readonly cpuReceiver: Figure;
}

interface LinkFigures {
  readonly iperf3Mbps: Figure;
  readonly udpcastMbps: Figure;
  readonly lidiMbps: Figure;
  readonly fast: ProfileFigures;
  readonly robust: ProfileFigures;
}

/** What `--json` prints. Null: not measured. */
export interface Report {
  readonly config: unknown;
  readonly link: { readonly loopback: LinkFigures; readonly veth: LinkFigures };
  readonly loss: Readonly<Record<'clean' | 'p1' | 'p5', { readonly linkGoodputMbps: Figure }>>;
  readonly rss: { readonly senderMiB: Figure; readonly receiverMiB: Figure };
  readonly small: { readonly filesPerSecond: Figure };
  readonly stages: readonly Stage[];
  /** With `--full` alone. */
  readonly full?: unknown;
}

const DIGITS = 100;
const rounded = (value: Figure): Figure => (value === null ? null : Math.round(value * DIGITS) / DIGITS);

/** Looks cells up by name; what was not measured is null. */
export class Results {
  readonly #cells: readonly Cell[];

  constructor(cells: readonly Cell[]) {
    this.#cells = cells;
  }

  sluice(name: string): SluiceCell | undefined {
    const cell = this.#cells.find((each) => each.name === name);
    return cell instanceof SluiceCell ? cell : undefined;
  }

  peer(name: string): Figure {
    const cell = this.#cells.find((each) => each.name === name);
    return cell instanceof PeerCell ? rounded(cell.mbps) : null;
  }

  of(name: string, figure: (carried: Carried) => number): Figure {
    return rounded(this.sluice(name)?.median(figure) ?? null);
  }

  profile(name: string): ProfileFigures {
    return {
      goodputMbps: this.of(name, ({ goodputMbps }) => goodputMbps),
      linkGoodputMbps: this.of(name, ({ linkGoodputMbps }) => linkGoodputMbps),
      cpuSender: this.of(name, ({ cpuSender }) => cpuSender),
      cpuReceiver: this.of(name, ({ cpuReceiver }) => cpuReceiver),
    };
  }

  link(name: string): LinkFigures {
    return {
      iperf3Mbps: this.peer(`${name}.iperf3`),
      udpcastMbps: this.peer(`${name}.udpcast`),
      lidiMbps: this.peer(`${name}.lidi`),
      fast: this.profile(`${name}.fast`),
      robust: this.profile(`${name}.robust`),
    };
  }

  /** The larger of some figures; null when one is missing. */
  largest(names: readonly string[], figure: (carried: Carried) => number): Figure {
    const values = names.map((name) => this.of(name, figure)).filter((value) => value !== null);
    return values.length < names.length ? null : Math.max(...values);
  }

  /** Of the run with the median goodput. */
  stages(name: string): readonly Stage[] {
    const cell = this.sluice(name);
    const middle = cell?.median(({ linkGoodputMbps }) => linkGoodputMbps);
    return cell?.samples.find(({ linkGoodputMbps }) => linkGoodputMbps === middle)?.stages ?? [];
  }
}

export function makeReport(cells: readonly Cell[], config: unknown, files: number): Report {
  const results = new Results(cells);
  const goodput = ({ linkGoodputMbps }: Carried): number => linkGoodputMbps;
  const rss = ['rss.fast', 'rss.robust'];
  const full = cells.filter(({ name }) => name.startsWith('full.'));
  return {
    config,
    link: { loopback: results.link('loopback'), veth: results.link('veth') },
    loss: {
      clean: { linkGoodputMbps: results.of('loss.clean', goodput) },
      p1: { linkGoodputMbps: results.of('loss.p1', goodput) },
      p5: { linkGoodputMbps: results.of('loss.p5', goodput) },
    },
    rss: {
      senderMiB: results.largest(rss, ({ rssSenderMiB }) => rssSenderMiB),
      receiverMiB: results.largest(rss, ({ rssReceiverMiB }) => rssReceiverMiB),
    },
    small: { filesPerSecond: results.of('small.files', ({ seconds }) => files / seconds) },
    stages: results.stages('loopback.fast'),
    ...(full.length === 0 ? {} : { full: fullFigures(full, results) }),
  };
}

const fullFigures = (cells: readonly Cell[], results: Results): unknown =>
  Object.fromEntries(
    cells.map(({ name }) => [
      name.slice('full.'.length),
      results.sluice(name) === undefined
        ? { iperf3Mbps: results.peer(name) }
        : {
            ...results.profile(name),
            rssSenderMiB: results.of(name, ({ rssSenderMiB }) => rssSenderMiB),
            rssReceiverMiB: results.of(name, ({ rssReceiverMiB }) => rssReceiverMiB),
          },
    ]),
  );

type Column = readonly [title: string, value: (cell: SluiceCell) => string];

const fixed = (digits: number, of: (carried: Carried) => number) => (cell: SluiceCell) =>
  cell.median(of)?.toFixed(digits) ?? '-';

const COLUMNS: readonly Column[] = [
  ['goodput Mb/s', fixed(0, ({ goodputMbps }) => goodputMbps)],
  ['link goodput Mb/s', fixed(0, ({ linkGoodputMbps }) => linkGoodputMbps)],
  ['lowest', (cell) => extreme(cell, Math.min)],
  ['highest', (cell) => extreme(cell, Math.max)],
  ['CPU-s/GiB sender', fixed(2, ({ cpuSender }) => cpuSender)],
  ['receiver', fixed(2, ({ cpuReceiver }) => cpuReceiver)],
  ['machine', fixed(2, ({ cpuMachine }) => cpuMachine)],
  ['submit to datagram ms', fixed(0, ({ firstDatagramMs }) => firstDatagramMs)],
  ['peak MiB sender', fixed(0, ({ rssSenderMiB }) => rssSenderMiB)],
  ['receiver', fixed(0, ({ rssReceiverMiB }) => rssReceiverMiB)],
  ['kernel drops', fixed(0, ({ kernelDrops }) => kernelDrops)],
  ['fsyncs', fsyncText],
  ['paced at', (cell) => rateText(cell.rate)],
];

function extreme(cell: SluiceCell, choose: (...values: number[]) => number): string {
  return cell.samples.length === 0 ? '-' : choose(...cell.samples.map((each) => each.linkGoodputMbps)).toFixed(0);
}

function fsyncText({ samples }: SluiceCell): string {
  const counted = samples.find(({ fsyncs }) => fsyncs !== undefined)?.fsyncs;
  return counted === undefined ? '' : `${String(counted.sender)} + ${String(counted.receiver)}`;
}

export const notesOf = (cells: readonly Cell[]): string[] =>
  cells.flatMap((cell) => (cell instanceof SluiceCell ? cell.notes : []));

/** Rows as Markdown, so that a table can go into a page as it is. */
const markdown = (rows: readonly (readonly string[])[]): string => {
  const [head = [], ...body] = rows;
  const widths = head.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const print = (row: readonly string[]): string =>
    `| ${row.map((text, i) => text.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [print(head), print(widths.map((width) => '-'.repeat(width))), ...body.map(print)].join('\n');
};

/** All that was measured, medians; then how it stands against the peers and the goals. */
export function makeTable(cells: readonly Cell[], report: Report): string {
  const peers = cells
    .filter((cell) => cell instanceof PeerCell)
    .map((cell) => [cell.name, cell.mbps?.toFixed(0) ?? '-', cell.samples.map((each) => each.toFixed(0)).join(', ')]);
  const ours = cells
    .filter((cell) => cell instanceof SluiceCell)
    .map((cell) => [cell.name, ...COLUMNS.map(([, value]) => value(cell))]);
  const failures = cells.filter(({ failure }) => failure !== undefined);
  return [
    ...(peers.length === 0 ? [] : [markdown([['peer', 'Mb/s', 'runs'], ...peers])]),
    ...(ours.length === 0 ? [] : [markdown([['Sluice', ...COLUMNS.map(([title]) => title)], ...ours])]),
    markdown([['goal', 'wanted', 'measured'], ...goals(report)]),
    ...(notesOf(cells).length === 0 ? [] : [notesOf(cells).join('\n')]),
    report.stages.length === 0
      ? 'Stages: the daemons do not say how long their stops take.'
      : markdown([
          ['side', 'stop', 'ns a datagram'],
          ...report.stages.map(({ side, stop, nsPerDatagram }) => [side, stop, String(nsPerDatagram)]),
        ]),
    ...failures.map(({ name, failure }) => `${name} FAILED: ${failure ?? ''}`),
  ].join('\n\n');
}

const over = (a: Figure, b: Figure): Figure => (a === null || b === null || b === 0 ? null : a / b);
const plus = (a: Figure, b: Figure): Figure => (a === null || b === null ? null : a + b);

function goals({ link: { loopback, veth }, loss, rss, small }: Report): string[][] {
  const rows: readonly (readonly [goal: string, wanted: string, measured: Figure])[] = [
    ['loopback, fast, over iperf3', '>= 1.3', over(loopback.fast.linkGoodputMbps, loopback.iperf3Mbps)],
    ['veth, fast, over iperf3', '>= 1.1', over(veth.fast.linkGoodputMbps, veth.iperf3Mbps)],
    ['loopback, robust, over iperf3', '>= 0.8', over(loopback.robust.linkGoodputMbps, loopback.iperf3Mbps)],
    ['loopback, fast, over udpcast', '>= 8', over(loopback.fast.linkGoodputMbps, loopback.udpcastMbps)],
    ['loopback, fast, over lidi', '', over(loopback.fast.linkGoodputMbps, loopback.lidiMbps)],
    ['CPU-s/GiB, both, fast, loopback', '<= 3.6', plus(loopback.fast.cpuSender, loopback.fast.cpuReceiver)],
    ['CPU-s/GiB, both, fast, veth', '<= 4.6', plus(veth.fast.cpuSender, veth.fast.cpuReceiver)],
    ['submit over first datagram, loopback', '>= 0.8', over(loopback.fast.goodputMbps, loopback.fast.linkGoodputMbps)],
    ['1 % loss over clean', '>= 0.9', over(loss.p1.linkGoodputMbps, loss.clean.linkGoodputMbps)],
    ['5 % loss, 20 % repair, over clean', '>= 0.7', over(loss.p5.linkGoodputMbps, loss.clean.linkGoodputMbps)],
    ['peak RSS sender at 1 Gb/s, MiB', '<= 256', rss.senderMiB],
    ['peak RSS receiver side at 1 Gb/s, MiB', '<= 512', rss.receiverMiB],
    ['files of 4 KiB a second', '>= 5000', small.filesPerSecond],
  ];
  return rows.flatMap(([goal, wish, measured]) => (measured === null ? [] : [[goal, wish, measured.toFixed(2)]]));
}
