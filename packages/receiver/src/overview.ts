import {
  buckets,
  duration,
  type Fact,
  FLIGHT_SHOWN,
  type FlightView,
  type Health,
  type Level,
  type MarginView,
  type Overview,
  type Pace,
  RECENT_SHOWN,
  type RecentView,
  REFUSALS_SHOWN,
  runs,
} from '@sluice/chassis';
import type { BundleRecord, BundleState } from '@sluice/ledger';
import { hostile, jsonText } from '@sluice/ports';
import type { AnswerParts } from './answers.ts';
import { canaryView } from './canary.ts';
import { LINK_SILENT_MS } from './checks.ts';

/** Missing bundles shown with their names, of each channel. */
const MISSING_NAMED = 5;

/** What the receiver's status page shows. */
export async function overviewOf(parts: AnswerParts, health: Health, pace: Pace): Promise<Overview> {
  const { link, channels, pipeline, canary } = parts;
  const flight = pipeline.open;
  return {
    side: 'receiver',
    time: new Date().toISOString(),
    uptimeSeconds: Math.floor(process.uptime()),
    ...(canary === undefined ? {} : { canary: canaryView(canary) }),
    link: linkOf(parts, flight.length > 0),
    channels: channels.map((name) => ({ name, ...channelOf(parts, name) })),
    rates: link.rates,
    margin: marginOf(parts),
    flight: flight.slice(0, FLIGHT_SHOWN).map((open) => flightOf(parts, open, pace)),
    flightMore: Math.max(0, flight.length - FLIGHT_SHOWN),
    missing: channels.flatMap((channel) => missingOf(parts, channel)),
    queue: queueOf(parts),
    recent: parts.ledger
      .list(RECENT_SHOWN + FLIGHT_SHOWN)
      .bundles.filter(({ state }) => state !== 'receiving')
      .slice(0, RECENT_SHOWN)
      .map(recentOf),
    refusals: refusalsOf(parts),
    health: await health.report(),
    far: farOf(parts),
  };
}

function linkOf({ link, channels, quietAfterMs }: AnswerParts, receiving: boolean): Overview['link'] {
  const silent = link.silentMs;
  if (silent === undefined || silent > LINK_SILENT_MS) {
    const since = silent === undefined ? 'since the receiver started' : `for ${duration(silent / 1000)}`;
    return { level: 'bad', state: 'Link process down', detail: `sluice link has said nothing ${since}; see its log` };
  }
  const ages = channels.map((channel) => link.heartbeatAge(channel));
  const heard = ages.filter((age) => age !== undefined);
  const latest = Math.min(...heard);
  if (heard.length === 0) {
    const detail = 'no authentic heartbeat since the start: is the sender up, the fibre lit, the key right?';
    return { level: 'bad', state: 'Nothing received', detail };
  }
  if (latest > quietAfterMs) {
    const detail = `nothing authentic for ${duration(latest / 1000)}; the limit is ${duration(quietAfterMs / 1000)}`;
    return { level: 'bad', state: 'Link down', detail };
  }
  const quiet = channels.filter((_, i) => (ages[i] ?? Infinity) > quietAfterMs);
  if (quiet.length > 0) {
    return {
      level: 'warn',
      state: 'Channel silent',
      detail: `no heartbeat of ${quiet.join(', ')}; the link itself is up`,
    };
  }
  const detail = `last heartbeat ${(latest / 1000).toFixed(1)} s ago`;
  return receiving ? { level: 'busy', state: 'Receiving', detail } : { level: 'good', state: 'Link up', detail };
}

function channelOf(
  { link, ledger, missing, quietAfterMs }: AnswerParts,
  name: string,
): { level: Level; state: string } {
  const heartbeat = link.heartbeatOf(name);
  const gaps = missing.of(name).length;
  const seen = ledger.lastKnown(name);
  const at = seen === 0 ? 'no bundle yet' : `last number ${String(seen)}`;
  if (heartbeat === undefined) return { level: 'bad', state: `no heartbeat yet, ${at}` };
  if (heartbeat.ageMs > quietAfterMs)
    return { level: 'bad', state: `silent for ${duration(heartbeat.ageMs / 1000)}, ${at}` };
  if (gaps > 0) return { level: 'warn', state: `${at}, ${String(gaps)} missing` };
  return { level: 'good', state: `${at}, none missing` };
}

function marginOf({ link, limits }: AnswerParts): MarginView {
  const { tightness, margins } = link;
  const shown = { buckets: buckets(margins) };
  if (margins.length === 0) return { ...shown, level: 'unknown', state: 'no object has come yet' };
  if (tightness === undefined) return { ...shown, level: 'good', state: 'few or no objects had to be repaired' };
  const state = `the middle one of the repaired objects had ${String(tightness)} symbols to spare`;
  return { ...shown, level: tightness <= limits.marginSymbols ? 'warn' : 'good', state };
}

type Open = AnswerParts['pipeline']['open'][number];

const stateOf = (verifying: boolean, nameless: boolean, waits: boolean, come: string): string => {
  if (verifying) return 'verifying';
  if (nameless) return `release statement has not come, ${come}`;
  return waits ? 'waits for room' : `receiving, ${come}`;
};

function flightOf(
  { link }: AnswerParts,
  { transport, missing, name, verifying, whole, waits }: Open,
  pace: Pace,
): FlightView {
  const { channel, sequence, objects } = transport.statement;
  const total = objects.reduce((sum, { size }) => sum + size, 0);
  const left = objects.reduce(
    (sum, { digest, size }) => (missing.has(digest) ? sum + size * (1 - link.share(digest)) : sum),
    0,
  );
  const done = Math.min(total, Math.max(0, Math.round(total - left)));
  const etaSeconds = verifying ? undefined : pace.eta(transport.id, done, total);
  const come = `${String(whole)} of ${String(objects.length)} objects whole`;
  return {
    bundle: transport.id,
    channel,
    sequence,
    name: name === undefined ? '' : jsonText(name),
    state: stateOf(verifying, name === undefined, waits, come),
    doneBytes: done,
    totalBytes: total,
    ...(etaSeconds === undefined ? {} : { etaSeconds }),
  };
}

function missingOf({ missing, config }: AnswerParts, channel: string): Overview['missing'] {
  const list = missing.of(channel);
  if (list.length === 0) return [];
  const names = list.flatMap(({ sequence, name }) =>
    name === undefined ? [] : [jsonText(hostile(`${String(sequence)}: ${name.text}`))],
  );
  return [
    {
      channel,
      sequences: runs(list.map(({ sequence }) => sequence)),
      names: names.slice(0, MISSING_NAMED),
      count: list.length,
      command: config.tickets === undefined ? '' : `sluice ticket ${channel}/${String(list[0]?.sequence ?? '')}`,
    },
  ];
}

function queueOf({ ledger, outbox, limits }: AnswerParts): readonly Fact[] {
  const waiting = ledger.count('published') + ledger.count('queued');
  const since = ledger.waitingSince();
  const age = since === undefined ? 0 : Math.max(0, Date.now() - since);
  const old = age > limits.queueAgeMs;
  const failed = ledger.count('failed');
  const refused = ledger.count('quarantined');
  return [
    { name: 'Waiting for import', value: String(waiting), level: old ? 'warn' : waiting > 0 ? 'busy' : 'good' },
    ...(since === undefined
      ? []
      : [{ name: 'Oldest has waited', value: duration(age / 1000), level: old ? ('warn' as const) : undefined }]),
    {
      name: 'Import queue',
      value: outbox.unavailable ? 'Redis is away' : outbox.paused ? 'paused by hand' : 'reachable',
      level: outbox.unavailable || outbox.paused ? 'warn' : 'good',
    },
    { name: 'Imported', value: String(ledger.count('imported')) },
    { name: 'Given up by an importer', value: String(failed), level: failed > 0 ? 'warn' : undefined },
    { name: 'In quarantine', value: String(refused), level: refused > 0 ? 'warn' : undefined },
  ];
}

const STATES: Readonly<Record<BundleState, { readonly level: Level; readonly state: string }>> = {
  receiving: { level: 'busy', state: 'receiving' },
  published: { level: 'busy', state: 'verified and published, waits for the import queue' },
  queued: { level: 'busy', state: 'being imported' },
  imported: { level: 'good', state: 'imported' },
  failed: { level: 'bad', state: 'given up by the importer' },
  quarantined: { level: 'bad', state: 'refused, in quarantine' },
};

function recentOf({ id, channel, sequence, name, state, code, changed }: BundleRecord): RecentView {
  const { level, state: words } = STATES[state];
  return {
    bundle: id,
    channel,
    sequence,
    name: jsonText(name),
    level,
    state: code === '' ? words : `${words}: ${code}`,
    time: new Date(changed).toISOString(),
  };
}

function refusalsOf({ ledger }: AnswerParts): Overview['refusals'] {
  const refused = (['quarantined', 'failed'] as const).flatMap(
    (state) => ledger.list(REFUSALS_SHOWN, undefined, { state }).bundles,
  );
  return refused
    .toSorted((a, b) => b.changed - a.changed)
    .slice(0, REFUSALS_SHOWN)
    .map(({ channel, sequence, name, code, detail, changed }) => ({
      time: new Date(changed).toISOString(),
      what: jsonText(hostile(`${channel} ${sequence > 0 ? String(sequence) : '(no number)'} ${name.text}`.trim())),
      code,
      detail: jsonText(detail),
    }));
}

function farOf({ link, channels, quietAfterMs }: AnswerParts): Overview['far'] {
  const known = channels.flatMap((channel) => link.heartbeatOf(channel) ?? []);
  const [latest] = known.toSorted((a, b) => a.ageMs - b.ageMs);
  if (latest === undefined) return { level: 'unknown', state: 'never heard of', facts: [] };
  const clock = latest.seconds - Date.now() / 1000 + latest.ageMs / 1000;
  const facts: Fact[] = [
    { name: 'Heard of', value: `${(latest.ageMs / 1000).toFixed(1)} s ago` },
    {
      name: 'Its clock against ours',
      value: Math.abs(clock) < 2 ? 'agrees' : `${duration(Math.abs(clock))} ${clock > 0 ? 'ahead' : 'behind'}`,
      ...(Math.abs(clock) < 2 ? {} : { level: 'warn' as const }),
    },
    { name: 'Its configuration', value: latest.config.slice(7, 19) },
    ...latest.faults.map((fault) => ({ name: 'It says', value: fault, level: 'warn' as const })),
  ];
  if (latest.ageMs > quietAfterMs) return { level: 'unknown', state: `was ${latest.state} when last heard of`, facts };
  return { level: latest.state === 'degraded' ? 'warn' : 'good', state: latest.state, facts };
}
