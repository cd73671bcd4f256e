import { basename } from 'node:path';
import { barChart, HEAT_STEPS, heatMap, short, stepChart, text } from './charts.ts';
import type { FullReport } from './report.ts';
import { STYLE } from './style.ts';

/** Rows of a table that are shown; the JSON file has all. */
const ROWS_MAX = 500;
const BURST_BINS = 24;
const LOSS_BARS = 24;

/** Nothing is loaded, nothing runs: the file is what it shows. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/** The report as one file. Every text in it has passed through `text`. */
export function htmlReport(report: FullReport): string {
  const sections = [summary(report), timeline(report), margins(report), heat(report), bursts(report)];
  const tables = [rejected(report), bundles(report), objects(report), inputs(report)];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>Sluice replay report</title><style>${STYLE}</style></head>
<body><main>${[...sections, ...tables].join('\n')}</main></body></html>
`;
}

const tile = (name: string, value: string): string => `<div><dt>${text(name)}</dt><dd>${text(value)}</dd></div>`;
const amount = (value: number): string => value.toLocaleString('en-US');
const share = (part: number, whole: number): string =>
  whole === 0 ? '0 %' : `${((part / whole) * 100).toPrecision(2)} %`;

function span({ timeline: { steps } }: FullReport): readonly [string, string] {
  return [steps[0]?.time ?? 'no time', steps.at(-1)?.time ?? 'no time'];
}

function summary(report: FullReport): string {
  const { problems, datagrams, files, lost, reordered, recoveredSymbols, blocks, tagsChecked } = report;
  const [from, to] = span(report);
  const whole = report.objects.filter(({ state }) => state === 'whole').length;
  const { accepted = 0, surplus = 0, replayed = 0, ...others } = report.verdicts;
  const refused = Object.values(others).reduce((sum, count) => sum + count, 0);
  const list = problems.map((problem) => `<li>${text(problem)}</li>`).join('');
  const result =
    problems.length === 0
      ? '<div class="result"><strong>Complete.</strong> Everything in the log came out whole.</div>'
      : `<div class="result bad"><strong>Not complete.</strong><ul>${list}</ul></div>`;
  const tags = tagsChecked
    ? 'Every tag was checked with the link keys.'
    : 'Tags are as recorded, not rechecked: no link keys were given. All else was computed anew.';
  const { same, need, differing, unrecorded } = report.recorded;
  const verdicts =
    same + need + differing === 0
      ? 'There are no recorded verdicts in it to compare with.'
      : `Verdicts: ${amount(same)} are the same as recorded, ${amount(differing)} differ, ${amount(need)} were news then or now and not both times, of ${amount(unrecorded)} datagrams none was recorded.`;
  const selected = Object.entries(report.made.selection).map(([name, value]) => `${name} ${value}`);
  const part =
    selected.length === 0
      ? ''
      : `<p><strong>A part of the log alone</strong> was looked at: ${text(selected.join(', '))}.</p>`;
  const pairs = Object.entries(report.differences).map(
    ([pair, count]) => `<li><code>${text(pair)}</code> ${amount(count)}</li>`,
  );
  return `<h1>Replay report</h1><p class="soft">${text(from)} to ${text(to)}</p><p class="soft">Made ${text(report.made.time)} of ${amount(files)} ${files === 1 ? 'file' : 'files'}.</p>${part}${result}
<dl class="tiles">${[
    tile('Datagrams', amount(datagrams)),
    tile('Lost on the link', `${amount(lost)} (${share(lost, accepted + surplus + lost)})`),
    tile('Left out by the log', amount(report.unlogged)),
    tile('Duplicates', amount(replayed)),
    tile('Out of order', amount(reordered)),
    tile('Rejected, duplicates apart', amount(refused)),
    tile('Symbols repaired', amount(recoveredSymbols)),
    tile('Blocks whole', amount(blocks)),
    tile('Objects whole', `${amount(whole)} of ${amount(report.objects.length)}`),
    tile('Sessions', amount(report.sessions.length)),
    tile('Heartbeats', amount(report.heartbeats)),
  ].join('')}</dl><p>${text(tags)} ${text(verdicts)}</p>${pairs.length === 0 ? '' : `<ul>${pairs.join('')}</ul>`}`;
}

const TAKEN: readonly string[] = ['bytes', 'accepted', 'surplus', 'lost', 'late', 'replayed'];

function timeline(report: FullReport): string {
  const { steps, stepSeconds } = report.timeline;
  const ends = span(report);
  const series = (pick: (counts: Readonly<Record<string, number>>) => number): number[] =>
    steps.map(({ counts }) => pick(counts));
  const others = (counts: Readonly<Record<string, number>>): number =>
    Object.entries(counts).reduce((sum, [name, count]) => sum + (TAKEN.includes(name) ? 0 : count), 0);
  const charts = [
    ['Rate', 'bit/s on Ethernet', 'rate', series(({ bytes = 0 }) => (bytes * 8) / stepSeconds)],
    ['Lost', 'datagrams', 'loss', series(({ lost = 0 }) => lost)],
    ['Duplicates', 'datagrams', 'double', series(({ replayed = 0 }) => replayed)],
    ['Out of order', 'datagrams', 'late', series(({ late = 0 }) => late)],
    ['Rejected, duplicates apart', 'datagrams', 'reject', series(others)],
  ] as const;
  const drawn = charts.map(
    ([label, unit, colour, values]) =>
      `<h3>${text(label)} <span class="soft">${text(unit)}</span></h3>${stepChart({ label, unit, colour, values }, ends)}`,
  );
  return `<h2>Over time</h2><p class="soft">In steps of ${text(stepSeconds)} s.</p>${drawn.join('')}`;
}

/** Names in order, those beyond `most` in one. */
function bars(
  counts: Readonly<Record<string, number>>,
  most: number,
): { readonly name: string; readonly value: number; readonly number: number }[] {
  const all = Object.entries(counts)
    .map(([name, value]) => ({ name, value, number: Number(name) }))
    .toSorted((a, b) => a.number - b.number);
  const rest = all.slice(most);
  const sum = rest.reduce((total, { value }) => total + value, 0);
  const first = rest[0];
  return first === undefined
    ? all
    : [...all.slice(0, most), { name: `${first.name}+`, value: sum, number: first.number }];
}

function margins({ blockSums }: FullReport): string {
  const shown = bars(blockSums.byMargin, LOSS_BARS).map((bar) => ({ ...bar, colour: bar.number < 0 ? 'bad' : 'good' }));
  const least = shown[0]?.number ?? 0;
  const words =
    shown.length === 0
      ? 'No block came.'
      : least < 0
        ? 'Blocks below 0 got fewer symbols than they need from one sending; another may have brought the rest.'
        : `The block that was closest had ${String(least)} symbols to spare.`;
  return `<h2>FEC margin</h2><p>Symbols of each block, in each sending, that came beyond need. ${text(words)}</p>${barChart('Blocks by symbols to spare', shown)}`;
}

function heat({ heat: { rows, rowBlocks } }: FullReport): string {
  const shares = ['0', ...HEAT_STEPS.map((step, i) => (i === 0 ? 'above 0' : `from ${String(step * 100)} %`))];
  const legend = shares.map(
    (words, i) =>
      `<li><svg viewBox="0 0 9 9" aria-hidden="true"><rect class="heat${String(i)}" width="9" height="9"/></svg>${text(words)}</li>`,
  );
  return `<h2>Loss by block and symbol</h2>
<p>Each row is ${text(rowBlocks)} ${rowBlocks === 1 ? 'block' : 'blocks'} in the order in which they came, each column a symbol (ESI). Losses that interleaving spread are scattered; an outage that it did not spread is a dark stripe along a row.</p>
<ul class="legend">${legend.join('')}</ul>${rows.length === 0 ? '<p class="soft">No block came.</p>' : heatMap('Share of symbols lost, by block and symbol', rows)}`;
}

function bursts({ bursts: lengths, blockSums }: FullReport): string {
  const longest = Math.max(0, ...Object.keys(lengths).map(Number));
  const worst = Math.max(0, ...Object.keys(blockSums.byLost).map(Number));
  const binned: Record<string, number> = {};
  const names = new Map<number, string>();
  for (const [length, count] of Object.entries(lengths)) {
    const bin = Math.min(BURST_BINS, Math.floor(Math.log2(Number(length))));
    names.set(bin, bin === 0 ? '1' : `${short(2 ** bin)}–${short(2 ** (bin + 1) - 1)}`);
    binned[String(bin)] = (binned[String(bin)] ?? 0) + count;
  }
  const runs = bars(binned, BURST_BINS).map(({ value, number }) => ({
    name: names.get(number) ?? '',
    value,
    colour: 'loss',
  }));
  const lost = bars(blockSums.byLost, LOSS_BARS).map(({ name, value, number }) => ({
    name,
    value,
    colour: number === 0 ? 'good' : 'loss',
  }));
  const words =
    longest === 0
      ? 'Nothing was lost between two datagrams that came.'
      : `The longest run of lost datagrams was ${amount(longest)}; the worst block lost ${amount(worst)} of its symbols.`;
  return `<h2>Bursts, and what interleaving made of them</h2><p>${text(words)}</p>
<h3>Runs of lost datagrams <span class="soft">by length</span></h3>${barChart('Runs of lost datagrams by length', runs)}
<h3>Blocks <span class="soft">by symbols lost</span></h3>${barChart('Blocks by symbols lost', lost)}`;
}

const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string => {
  const more =
    rows.length > ROWS_MAX ? `<p class="soft">${amount(rows.length - ROWS_MAX)} more are in the JSON file.</p>` : '';
  const cells = rows.slice(0, ROWS_MAX).map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join('')}</tr>`);
  const head = heads.map((name) => `<th scope="col">${text(name)}</th>`).join('');
  return `<div class="wide" tabindex="0"><table><thead><tr>${head}</tr></thead><tbody>${cells.join('')}</tbody></table></div>${more}`;
};

function rejected(report: FullReport): string {
  const names = [...new Set([...Object.keys(report.verdicts), ...Object.keys(report.byHeaders.verdicts)])].toSorted();
  const rows = names.map((name) => [
    `<code>${text(name)}</code>`,
    amount(report.verdicts[name] ?? 0),
    amount(report.byHeaders.verdicts[name] ?? 0),
  ]);
  return `<h2>Verdicts</h2>${table(['Code', 'In the replay', 'Recorded, headers only'], rows)}`;
}

function bundles(report: FullReport): string {
  const rows = report.bundles.map(({ id, channel, sequence, name, whole, objects: of, ledger }) => {
    const ledgerCells =
      ledger === undefined
        ? ['not asked', '']
        : [
            `${text(ledger.state)} ${text(ledger.code)}`,
            `<span class="${ledger.agrees ? 'yes' : 'no'}">${ledger.agrees ? 'agrees' : 'differs'}</span>: ${text(ledger.why)}`,
          ];
    return [
      `${text(channel)}/${text(sequence)}`,
      text(name ?? ''),
      `<code class="id">${text(id)}</code>`,
      `${amount(whole)} of ${amount(of)}`,
      ...ledgerCells,
    ];
  });
  const words = 'By their transport statements, whose signatures are the receiver’s to check, not the replay’s.';
  return `<h2>Bundles</h2><p class="soft">${text(words)}</p>${table(['Bundle', 'Release', 'Id', 'Objects whole', 'Ledger', 'Comparison'], rows)}`;
}

function objects(report: FullReport): string {
  const rows = report.objects.map(({ channel, digest, size, contentType, state, blocks, stored }) => [
    text(channel),
    `<code class="id">${text(digest)}</code>`,
    amount(size),
    text(contentType),
    `<span class="${state === 'whole' ? 'yes' : 'no'}">${text(state)}</span>${state === 'partial' ? ` ${amount(stored)} of ${amount(blocks)} blocks` : ''}`,
  ]);
  const faults = report.faults.map(
    ({ file, code, offset }) =>
      `<li>${text(basename(file))}: <code>${text(code)}</code> at byte ${amount(offset)}</li>`,
  );
  return `<h2>Objects</h2>${table(['Channel', 'Digest', 'Bytes', 'Type', 'State'], rows)}${faults.length === 0 ? '' : `<h2>Damaged files</h2><ul>${faults.join('')}</ul>`}`;
}

/** What it was made of. */
function inputs({ made }: FullReport): string {
  const rows = made.inputs.map(({ name, bytes, sha256 }) => [
    text(name),
    amount(bytes),
    `<code class="id">${text(sha256)}</code>`,
  ]);
  const words =
    'Who has these files, by their SHA-256, and the link keys can make this report again: sluice replay report.';
  return `<h2>Made of</h2><p class="soft">${text(words)}</p>${table(['File', 'Bytes', 'SHA-256'], rows)}`;
}
