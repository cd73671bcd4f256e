import type { FlightView, Overview } from '@sluice/chassis';
import { EXIT } from '@sluice/base';
import { OperationalError } from '@sluice/ports';
import { parseArguments, UsageError } from './arguments.ts';
import { type BundleLine, idOf, lookForBundle, stateOf, wordsOf } from './bundles.ts';
import { Daemon } from './look.ts';
import { Progress } from './progress.ts';
import { say, sayJson, tell } from './say.ts';
import { optionsOf } from './table.ts';

/** After how long a daemon that went away is asked again. */
const AGAIN_MS = 2000;

/** States in which nothing more happens to a bundle, and whether that is good. */
const ENDS: Readonly<Record<string, boolean>> = { imported: true, sent: true, failed: false, quarantined: false };

interface Entry {
  readonly seq: number;
  readonly time: string;
  readonly kind: string;
  readonly subject: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** `sluice watch [BUNDLE]`: what happens, as it happens; of one bundle until its end. */
export async function watch(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('watch'));
  const [name] = positionals;
  if (positionals.length > 1) throw new UsageError('watch takes one bundle, or none for all');
  const daemon = await Daemon.find(values);
  const asJson = values.json === true;
  return name === undefined ? all(daemon, asJson) : one(daemon, await comesBundle(daemon, name), asJson);
}

/** The bundle of this name, when it is there: on the isolated side it may still be on its way. */
async function comesBundle(daemon: Daemon, name: string): Promise<string> {
  for (let isTold = false; ; isTold = true) {
    const found = await lookForBundle(daemon, name);
    if (found !== undefined) return found;
    if (!isTold) tell(`${daemon.origin} does not know ${name} yet; it is waited for`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

/** Events without end: when the daemon goes away, it is asked again from where it was. */
async function* endless(daemon: Daemon, signal: AbortSignal): AsyncGenerator<{ event: string; data: string }> {
  const isOver = (): boolean => signal.aborted;
  let last: number | undefined;
  for (let isThere = true; !isOver();) {
    try {
      for await (const each of daemon.events(last, signal)) {
        if (!isThere) tell(`${daemon.origin} answers again`);
        isThere = true;
        if (each.event === 'entry') last = (JSON.parse(each.data) as Entry).seq;
        yield each;
      }
    } catch (error) {
      if (isOver()) return;
      const { code = '' } = error as NodeJS.ErrnoException;
      if (!(error instanceof OperationalError) && !['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes(code))
        throw error;
    }
    if (isThere) tell(`${daemon.origin} has ended the stream; it is asked again`);
    isThere = false;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

function entryLine({ time, kind, subject, body }: Entry): string {
  const { channel, sequence, ...rest } = body;
  const place =
    typeof channel === 'string' ? ` ${channel}/${typeof sequence === 'number' ? String(sequence) : '-'}` : '';
  return `${time.slice(0, 19)}Z ${kind.padEnd(11)}${place} ${subject.slice(0, 19)}${wordsOf(rest)}`;
}

async function all(daemon: Daemon, asJson: boolean): Promise<number> {
  const { signal } = new AbortController();
  for await (const { event, data } of endless(daemon, signal)) {
    if (event !== 'entry') continue;
    if (asJson) sayJson(data);
    else say(entryLine(JSON.parse(data) as Entry));
  }
  return EXIT.ok;
}

/** Follows a bundle to its end: 0 when that is good. */
async function one(daemon: Daemon, id: string, asJson: boolean): Promise<number> {
  const stop = new AbortController();
  const progress = new Progress({ what: 'bundle' });
  let before = '';
  for await (const { event, data } of endless(daemon, stop.signal)) {
    if (event !== 'overview') continue;
    const { flight } = JSON.parse(data) as Overview;
    const moving: FlightView | undefined = flight.find(({ bundle }) => bundle === id);
    const story = await daemon.get<{ readonly bundle: BundleLine }>(`/v1/bundles/${id}`);
    const now = stateOf(story.bundle);
    if (now !== before) {
      progress.end();
      if (asJson) sayJson(JSON.stringify(story.bundle));
      else say(`${story.bundle.channel}/${String(story.bundle.sequence)} ${now} ${idOf(story.bundle).slice(0, 19)}`);
    }
    before = now;
    if (moving?.doneBytes !== undefined) progress.at(moving.doneBytes, moving.totalBytes);
    const isGood = ENDS[story.bundle.state];
    if (isGood === undefined) continue;
    progress.end();
    stop.abort();
    return isGood ? EXIT.ok : EXIT.failed;
  }
  return EXIT.failed;
}
