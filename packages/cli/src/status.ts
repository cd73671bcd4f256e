import type { FlightView, HealthReport, Level, Overview } from '@sluice/chassis';
import { EXIT } from '@sluice/base';
import { parseArguments } from './arguments.ts';
import { Daemon } from './look.ts';
import { amountOf, barOf } from './progress.ts';
import { say, sayJson } from './say.ts';
import { optionsOf } from './table.ts';
import { columns, duration } from './words.ts';

/** No state is told by colour alone, and here by none. */
const SIGNS: Readonly<Record<Level, string>> = { good: 'ok', busy: '>>', warn: '! ', bad: 'XX', unknown: '? ' };

/** `sluice status`: what the status page shows, in a terminal. The status is 0 when every check passes. */
export async function status(args: readonly string[]): Promise<number> {
  const { values } = parseArguments(args, optionsOf('status'));
  const daemon = await Daemon.find(values);
  const overview = await daemon.get<Overview>('/v1/overview');
  if (values.json === true) sayJson(JSON.stringify(overview));
  else say(...linesOf(overview));
  return overview.health.status === 'pass' ? EXIT.ok : EXIT.failed;
}

/** The page, section by section; what has nothing to say is left out. */
export function linesOf(view: Overview): string[] {
  const { side, link, canary, channels, missing, flight, flightMore, queue, refusals, health, far } = view;
  const mark = (level: Level | undefined, text: string): string =>
    level === undefined ? text : `${SIGNS[level]} ${text}`;
  const rows: (readonly [string, string])[] = [
    ...(canary === undefined ? [] : [['canary', `${mark(canary.level, canary.age)}: ${canary.detail}`] as const]),
    ['link', `${mark(link.level, link.state)}: ${link.detail}`],
    ...channels.map(({ name, level, state }) => [`channel ${name}`, mark(level, state)] as const),
    ...missing.flatMap(({ channel, sequences, names, command }) => [
      ['missing', `${channel}: ${sequences}`] as const,
      ...names.map((name) => ['', name] as const),
      ...(command === '' ? [] : [['', `ask for them: ${command}`] as const]),
    ]),
    ...flight.map((each) => ['under way', flightLine(each)] as const),
    ...(flightMore > 0 ? [['', `and ${String(flightMore)} more`] as const] : []),
    ...queue.map(({ name, value, level }) => ['queue', `${name}: ${mark(level, value)}`] as const),
    [
      'other side',
      `${mark(far.level, far.state)}${far.facts.map(({ name, value }) => `; ${name}: ${value}`).join('')}`,
    ],
    ...refusals
      .slice(0, 3)
      .map(({ time, what, code, detail }) => ['refused', `${time.slice(0, 19)} ${what}: ${detail} (${code})`] as const),
    ...checkLines(health).map((line) => ['checks', line] as const),
  ];
  // A name that stands above itself is not said again.
  const shown = rows.map(([name, text], i) => [name === rows[i - 1]?.[0] ? '' : name, text]);
  return [`sluice ${side}, running for ${duration(view.uptimeSeconds)}`, ...columns(shown)];
}

/** `prod 5 · name  [####....] 45 %, 12 MB of 30 MB, 4 s left`. */
export function flightLine({ channel, sequence, name, state, doneBytes, totalBytes, etaSeconds }: FlightView): string {
  const title = `${channel}/${String(sequence)}${name === '' ? '' : ` ${name}`}: ${state}`;
  if (doneBytes === undefined) return `${title}, ${amountOf(totalBytes, 'B')}`;
  const share = totalBytes === 0 ? 1 : doneBytes / totalBytes;
  const left = etaSeconds === undefined ? '' : `, ${duration(etaSeconds)} left`;
  return `${title} ${barOf(share, 12)} ${String(Math.floor(share * 100))} %, ${amountOf(doneBytes, 'B')} of ${amountOf(totalBytes, 'B')}${left}`;
}

function checkLines({ checks }: HealthReport): string[] {
  const bad = Object.entries(checks).filter(([, [{ status: found }]]) => found !== 'pass');
  if (bad.length === 0) return [`ok all ${String(Object.keys(checks).length)} pass`];
  return bad
    .toSorted(([, [a]], [, [b]]) => a.status.localeCompare(b.status))
    .map(
      ([name, [{ status: found, output = '' }]]) => `${found === 'fail' ? SIGNS.bad : SIGNS.warn} ${name}: ${output}`,
    );
}
