import { parseArguments, RefusedError, UsageError } from './arguments.ts';
import { Daemon } from './look.ts';
import { amountOf } from './progress.ts';
import { say, sayJson } from './say.ts';
import { optionsOf } from './table.ts';
import { columns } from './words.ts';

/** Bundles of one page when many are looked through. */
const PAGE = 100;

/** A bundle as either side tells of it. */
export interface BundleLine {
  readonly id?: string;
  readonly bundle?: string;
  readonly channel: string;
  readonly sequence: number;
  readonly name: string;
  readonly state: string;
  readonly code?: string;
  readonly detail?: string;
  /** The sender's words: it knows no more. */
  readonly sent?: string;
  readonly bytes: number;
}

interface BundlePage {
  readonly items: readonly BundleLine[];
  readonly next?: string;
}

/** `sluice bundles`: newest first. */
export async function bundles(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('bundles'));
  if (positionals.length > 0) throw new UsageError('bundles takes options only; "sluice show BUNDLE" tells of one');
  const limit = countOf(values.limit);
  const query = new URLSearchParams();
  if (values.state !== undefined) query.set('state', values.state);
  if (values.channel !== undefined) query.set('channel', values.channel);
  const daemon = await Daemon.find(values);
  const items: BundleLine[] = [];
  for await (const item of pages(daemon, query, Math.min(limit, PAGE))) {
    items.push(item);
    if (items.length >= limit) break;
  }
  if (values.json === true) sayJson(JSON.stringify({ items }));
  else say(...(items.length === 0 ? ['none'] : columns(items.map(lineOf))));
  return 0;
}

function countOf(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw new UsageError('--limit takes a number, 1 or more');
}

async function* pages(daemon: Daemon, query: URLSearchParams, limit: number): AsyncGenerator<BundleLine> {
  for (let cursor: string | undefined; ;) {
    const asked = new URLSearchParams(query);
    asked.set('limit', String(limit));
    if (cursor !== undefined) asked.set('cursor', cursor);
    const page = await daemon.get<BundlePage>(`/v1/bundles?${asked.toString()}`);
    yield* page.items;
    cursor = page.next;
    if (cursor === undefined) return;
  }
}

export const idOf = ({ id, bundle }: BundleLine): string => id ?? bundle ?? '';

/** `receiving`, `quarantined: type-not-allowed`, `sent: pass 2 of 2`. */
export const stateOf = ({ state, code = '', sent }: BundleLine): string =>
  sent === undefined ? (code === '' ? state : `${state}: ${code}`) : `${state}: ${sent}`;

const lineOf = (line: BundleLine): readonly string[] => [
  line.sequence === 0 ? `${line.channel}/-` : `${line.channel}/${String(line.sequence)}`,
  stateOf(line),
  amountOf(line.bytes, 'B'),
  idOf(line).slice(0, 19),
  line.name,
];

interface Story {
  readonly bundle: BundleLine;
  readonly progress?: { readonly objects: number; readonly whole: number };
  readonly events: readonly {
    readonly time: string;
    readonly kind: string;
    readonly body: Readonly<Record<string, unknown>>;
  }[];
  readonly receipt?: {
    readonly result: string;
    readonly code: string;
    readonly artifacts: readonly {
      readonly name: string;
      readonly digest: string;
      readonly sites: readonly { readonly site: string }[];
    }[];
  };
}

/** Artifacts of a receipt that are listed. */
const ARTIFACTS_SHOWN = 20;

/** `sluice show BUNDLE`: its whole story, as far as this side knows it. */
export async function show(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('show'));
  const [name] = positionals;
  if (name === undefined || positionals.length > 1)
    throw new UsageError('show takes one bundle: its id or the beginning of it, its number, or CHANNEL/NUMBER');
  const daemon = await Daemon.find(values);
  const story = await daemon.get<Story>(`/v1/bundles/${await findBundle(daemon, name)}`);
  if (values.json === true) sayJson(JSON.stringify(story));
  else say(...storyLines(story));
  return 0;
}

function storyLines({ bundle, progress, events, receipt }: Story): string[] {
  const head = `${bundle.channel}/${String(bundle.sequence)} ${bundle.name}`.trimEnd();
  const artifacts = receipt?.artifacts ?? [];
  return [
    head,
    ...columns([
      ['id', idOf(bundle)],
      ['state', stateOf(bundle)],
      ...(bundle.detail === undefined || bundle.detail === '' ? [] : [['reason', bundle.detail]]),
      ['size', amountOf(bundle.bytes, 'B')],
      ...(progress === undefined
        ? []
        : [['objects', `${String(progress.whole)} of ${String(progress.objects)} are whole`]]),
      ...events.map(({ time, kind, body }) => [`${time.slice(0, 19)}Z`, `${kind}${wordsOf(body)}`]),
      ...(receipt === undefined ? [] : [['receipt', `${receipt.result}: ${receipt.code}`]]),
    ]),
    ...artifacts
      .slice(0, ARTIFACTS_SHOWN)
      .map(({ name, digest, sites }) => `  ${name} ${digest} at ${sites.map(({ site }) => site).join(', ')}`),
    ...(artifacts.length > ARTIFACTS_SHOWN
      ? [`  and ${String(artifacts.length - ARTIFACTS_SHOWN)} more; --json has them all`]
      : []),
  ];
}

/** The fields of a ledger entry in one line. */
export const wordsOf = (body: Readonly<Record<string, unknown>>): string =>
  Object.entries(body)
    .filter(([, value]) => value !== '' && value !== null && value !== undefined)
    .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('');

/** The id of a bundle that a person names. */
export async function findBundle(daemon: Daemon, name: string): Promise<string> {
  const found = await lookForBundle(daemon, name);
  if (found !== undefined) return found;
  const missing = await missingOf(daemon, name);
  if (missing !== undefined)
    throw new RefusedError(
      `${missing} was sent, and nothing of it has come to ${daemon.origin}; "sluice ticket ${missing}" asks for it`,
    );
  throw new RefusedError(`there is no bundle ${name} at ${daemon.origin}; "sluice bundles" lists them`);
}

interface MissingStatus {
  readonly channels?: readonly { readonly name: string; readonly missing?: readonly number[] }[];
}

/** CHANNEL/NUMBER of a bundle that the receiver misses: it has no entry that could be shown. */
async function missingOf(daemon: Daemon, name: string): Promise<string | undefined> {
  const [, wanted, number] = /^(?:([a-z0-9-]+)\/)?(\d{1,15})$/.exec(name) ?? [];
  if (number === undefined) return undefined;
  // Where the answer is no such document, the sentence without it is still true.
  const status = await daemon.get<MissingStatus>('/v1/status').catch(() => undefined);
  const channel = status?.channels?.find(
    ({ name: each, missing = [] }) => (wanted === undefined || each === wanted) && missing.includes(Number(number)),
  );
  return channel === undefined ? undefined : `${channel.name}/${number}`;
}

/** The same, if it is there: by id or its beginning, number, or CHANNEL/NUMBER. */
export async function lookForBundle(daemon: Daemon, name: string): Promise<string | undefined> {
  if (/^sha256:[0-9a-f]{64}$/.test(name)) return name;
  const [, channel, number] = /^(?:([a-z0-9-]+)\/)?(\d{1,15})$/.exec(name) ?? [];
  const beginning = /^(?:sha256:)?([0-9a-f]{6,63})$/.exec(name)?.[1];
  if (number === undefined && beginning === undefined)
    throw new UsageError(
      `"${name}" names no bundle: that is an id, at least six digits of its beginning, a number, or CHANNEL/NUMBER`,
    );
  const query = new URLSearchParams(channel === undefined ? {} : { channel });
  const found: BundleLine[] = [];
  for await (const line of pages(daemon, query, PAGE)) {
    const isIt =
      (number !== undefined && line.sequence === Number(number)) ||
      (beginning !== undefined && idOf(line).startsWith(`sha256:${beginning}`));
    if (isIt) found.push(line);
    // A number of a channel there is once.
    if (isIt && channel !== undefined) break;
  }
  const [only] = found;
  if (only === undefined) return undefined;
  if (found.length > 1)
    throw new RefusedError(
      `${name} may be ${found.map((line) => `${line.channel}/${String(line.sequence)} (${idOf(line).slice(0, 19)})`).join(' or ')}; say which`,
    );
  return idOf(only);
}
