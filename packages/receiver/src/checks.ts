import { diskCheck, duration, type Health, type HealthCheck } from '@sluice/chassis';
import { GIVEN_UP, type ReceiverLedger, STORE_DAMAGED, WAITING_FOR_ROOM } from '@sluice/ledger';
import type { ImportQueue } from '@sluice/queue';
import { type LinkAlarm, terminalText } from '@sluice/ports';
import { type Canary, canaryCheck } from './canary.ts';
import type { KeeperState } from './chunks/keeper.ts';
import type { LinkState } from './link-state.ts';
import type { MissingBundles } from './missing.ts';
import { PAUSED } from './outbox.ts';
import type { ReceiverPipeline } from './pipeline.ts';
import { bundlesIn, incomplete, missingBundles } from './bundle-checks.ts';

export interface CheckParts {
  readonly ledger: ReceiverLedger;
  readonly link: LinkState;
  readonly queue: ImportQueue;
  readonly channels: readonly string[];
  readonly missing: MissingBundles;
  readonly pipeline: Pick<ReceiverPipeline, 'held' | 'open'>;
  readonly canary?: Canary | undefined;
  readonly quietAfterMs: number;
  readonly limits: CheckLimits;
  /** Directories whose disk is watched: what they are for, and where. */
  readonly disks: readonly (readonly [what: string, path: string])[];
  /** Undefined where nobody keeps the chunk log. */
  readonly keeper?: { readonly state: KeeperState | undefined } | undefined;
  /** Milliseconds that replay is to reach back. */
  readonly reachMs?: number;
  /** Channels that let CVE databases in. */
  readonly cveChannels: readonly string[];
}

export interface CheckLimits {
  readonly cveDatabaseAgeMs: number;
  readonly queueAgeMs: number;
  /** FEC margin at which to warn, symbols. */
  readonly marginSymbols: number;
  readonly diskFree: number;
}

/** link tells how it is every second; this much silence means that it does not run, or hangs. */
export const LINK_SILENT_MS = 5000;
/** An alarm of link is raised again while it lasts, where datagrams come; this much later it is over. */
const ALARM_LASTS_MS = 10_000;

/** The health checks of the receiver. The link being down is no reason to restart us, nor to say that we are not ready. */
export function addChecks(health: Health, parts: CheckParts): void {
  const { ledger, link, queue } = parts;
  const checks = [
    ...(parts.canary === undefined ? [] : [canaryCheck(parts.canary)]),
    importsPaused(ledger),
    linkProcess(link),
    linkDisk('spool', ['spool-full', 'spool-io'], 'fail', link),
    linkDisk('chunk-log', ['chunk-log-full', 'chunk-log-io'], 'warn', link),
    held(parts),
    incomplete(parts),
    ledgerWrites(ledger),
    anythingFresh(parts),
    ...parts.channels.flatMap((channel) => [
      linkFreshness(channel, parts),
      senderHealth(channel, parts),
      senderNumbers(channel, parts),
      missingBundles(channel, parts),
    ]),
    fecMargin(parts),
    receiveBuffer(link),
    kernelDrops(link),
    queueAge(parts),
    ...(parts.cveChannels.length === 0 ? [] : [cveDatabase(parts)]),
    ...parts.disks.map(([what, path]) => diskCheck(what, path, parts.limits.diskFree)),
    damaged(ledger),
    room(ledger),
    restored(ledger),
    bundlesIn('quarantined', ledger, 'bundles were refused; /v1/bundles and the quarantine directory say why'),
    bundlesIn('failed', ledger, 'the importer did not take bundles; /v1/bundles says which and why'),
    redis(queue, ledger),
    linkAlarms(link),
    ...(parts.keeper === undefined ? [] : [chunkLogReach(parts)]),
  ];
  for (const check of checks) health.add(check);
}

const linkProcess = (link: LinkState): HealthCheck => ({
  name: 'link:process',
  gates: 'ready',
  check: () => {
    const silent = link.silentMs;
    if (silent === undefined) return { status: 'fail', output: 'link has not connected yet; look at its log' };
    const seen = { observedValue: Math.round(silent), observedUnit: 'ms', threshold: LINK_SILENT_MS };
    return silent > LINK_SILENT_MS
      ? { status: 'fail', ...seen, output: 'link has gone silent; look at its log' }
      : { status: 'pass', ...seen };
  },
});

/** A disk of link. Reception goes on; without the chunk log nothing is lost, without the spool a later pass must bring it again. */
const linkDisk = (
  what: 'spool' | 'chunk-log',
  codes: readonly LinkAlarm[],
  status: 'warn' | 'fail',
  link: LinkState,
): HealthCheck => ({
  name: `link:${what}`,
  gates: 'ready',
  check: () => {
    const alarm = link.alarms.find(({ code, ageMs }) => codes.some((each) => each === code) && ageMs < ALARM_LASTS_MS);
    return alarm === undefined ? { status: 'pass' } : { status, output: `${alarm.code}: ${alarm.detail}` };
  },
});

/** Verified or not, what a full or failing disk or store holds up; it is tried again by itself. */
const held = ({ pipeline }: CheckParts): HealthCheck => ({
  name: 'bundles:held',
  gates: 'ready',
  check: () => {
    const [first] = pipeline.held;
    const seen = { observedValue: pipeline.held.length, observedUnit: 'steps', threshold: 0 };
    return first === undefined
      ? { status: 'pass', ...seen }
      : { status: 'warn', ...seen, output: `${first.code}: ${first.detail}` };
  },
});

const ledgerWrites = (ledger: ReceiverLedger): HealthCheck => ({
  name: 'ledger:writes',
  gates: 'ready',
  check: () => {
    const { fault } = ledger;
    return fault === undefined ? { status: 'pass' } : { status: 'fail', output: `${fault.code}: ${fault.message}` };
  },
});

const linkFreshness = (channel: string, { link, quietAfterMs }: CheckParts): HealthCheck => ({
  name: `link:freshness-${channel}`,
  check: () => {
    const age = link.heartbeatAge(channel);
    if (age === undefined)
      return {
        status: 'fail',
        output: `no heartbeat of channel ${channel} since the start: is the sender up, the fibre lit, the key right?`,
      };
    const seen = { observedValue: Math.round(age), observedUnit: 'ms', threshold: quietAfterMs };
    return age > quietAfterMs
      ? { status: 'fail', ...seen, output: `channel ${channel} has gone silent` }
      : { status: 'pass', ...seen };
  },
});

/** Data or heartbeat, whichever is younger. */
const anythingFresh = ({ link, channels, quietAfterMs }: CheckParts): HealthCheck => ({
  name: 'link:freshness',
  check: () => {
    const ages = [link.dataAge, ...channels.map((channel) => link.heartbeatAge(channel))];
    const age = Math.min(...ages.filter((each) => each !== undefined));
    if (age === Infinity) return { status: 'fail', output: 'nothing authentic has come since the start' };
    const seen = { observedValue: Math.round(age), observedUnit: 'ms', threshold: quietAfterMs };
    return age > quietAfterMs
      ? { status: 'fail', ...seen, output: 'the link is silent: sender, fibre or key' }
      : { status: 'pass', ...seen };
  },
});

/** What the sender says of itself. */
const senderHealth = (channel: string, { link, quietAfterMs }: CheckParts): HealthCheck => ({
  name: `sender:health-${channel}`,
  check: () => {
    const heartbeat = link.heartbeatOf(channel);
    if (heartbeat === undefined) return { status: 'warn', output: 'the sender has not been heard of' };
    const seen = { observedValue: heartbeat.state, observedUnit: 'state' };
    const ago = duration(heartbeat.ageMs / 1000);
    if (heartbeat.ageMs > quietAfterMs) return { status: 'warn', ...seen, output: `that was ${ago} ago` };
    if (heartbeat.state !== 'degraded') return { status: 'pass', ...seen };
    const faults = heartbeat.faults.join(', ');
    return {
      status: 'warn',
      ...seen,
      output: `the sender says: ${faults === '' ? 'degraded' : faults}; look at its page`,
    };
  },
});

/** A sender whose ledger is an older one gives numbers out that were given before. */
const senderNumbers = (channel: string, { link, ledger }: CheckParts): HealthCheck => ({
  name: `sender:numbers-${channel}`,
  check: () => {
    const { sequence, id } = ledger.keeping.headOf(channel);
    const seen = {
      observedValue: link.heartbeatOf(channel)?.sequence ?? 0,
      observedUnit: 'bundles',
      threshold: sequence,
    };
    if (!link.wentBack(channel)) return { status: 'pass', ...seen };
    const command = `sluice restored ${channel} ${String(sequence)} ${id ?? 'ID'}`;
    const output = `the sender counts less far than is known here: was it restored from a backup? On the staging host: ${command}`;
    return { status: 'fail', ...seen, output };
  },
});

/** How close the objects that had to be repaired came to failing. */
const fecMargin = ({ link, limits }: CheckParts): HealthCheck => ({
  name: 'link:fec-margin',
  check: () => {
    const tight = link.tightness;
    if (tight === undefined) return { status: 'pass', threshold: limits.marginSymbols };
    const seen = { observedValue: tight, observedUnit: 'symbols', threshold: limits.marginSymbols };
    const output = 'blocks are whole by a hair; find what loses datagrams, or send more repair';
    return tight > limits.marginSymbols ? { status: 'pass', ...seen } : { status: 'warn', ...seen, output };
  },
});

/** The socket must hold what comes while link does something else. */
const receiveBuffer = (link: LinkState): HealthCheck => ({
  name: 'link:receive-buffer',
  check: () => {
    const buffer = link.receiveBuffer;
    if (buffer === undefined) return { status: 'pass' };
    const { bytes, wanted } = buffer;
    const seen = { observedValue: bytes, observedUnit: 'bytes', threshold: wanted };
    const output = `at the rates of late a pause of link like the longest of late wants ${String(wanted)} bytes; raise ReceiveBuffer= of sluice-link.socket (or listen.receiveBuffer and net.core.rmem_max)`;
    return bytes >= wanted ? { status: 'pass', ...seen } : { status: 'warn', ...seen, output };
  },
});

const kernelDrops = (link: LinkState): HealthCheck => ({
  name: 'link:kernel-drops',
  check: () => {
    const drops = link.numbers.kernelDrops ?? 0;
    const seen = { observedValue: drops, observedUnit: 'receives', threshold: 0 };
    const output =
      'the kernel had no room for what came, since link started: a larger receive buffer, or a lower rate at the sender';
    return drops === 0 ? { status: 'pass', ...seen } : { status: 'warn', ...seen, output };
  },
});

/** A person's word: it lasts over restarts, so it must not be forgotten. */
const importsPaused = (ledger: ReceiverLedger): HealthCheck => ({
  name: 'imports:paused',
  check: () =>
    ledger.control.get(PAUSED) === 'yes'
      ? { status: 'warn', output: 'imports are paused by hand; "sluice resume" lets them go on' }
      : { status: 'pass' },
});

const queueAge = ({ ledger, limits }: CheckParts): HealthCheck => ({
  name: 'queue:age',
  check: () => {
    const since = ledger.waitingSince();
    const age = since === undefined ? 0 : Math.max(0, Date.now() - since);
    const threshold = Math.round(limits.queueAgeMs / 1000);
    const seen = { observedValue: Math.round(age / 1000), observedUnit: 's', threshold };
    const output = 'a published bundle has waited this long for its import; look at the importer';
    return age > limits.queueAgeMs ? { status: 'warn', ...seen, output } : { status: 'pass', ...seen };
  },
});

/** The versions of CVE databases are times (Unix seconds). The oldest of them counts. By our clock: it only warns. */
const cveDatabase = ({ ledger, limits, cveChannels }: CheckParts): HealthCheck => ({
  name: 'cve-db:age',
  check: () => {
    const databases = ledger.versionsOf('cve-db').filter(({ channel }) => cveChannels.includes(channel));
    const threshold = Math.round(limits.cveDatabaseAgeMs / 3_600_000);
    const [oldest] = databases.toSorted((a, b) => a.version - b.version);
    if (oldest === undefined) return { status: 'warn', threshold, output: 'no CVE database has come yet' };
    const hours = (Date.now() / 1000 - oldest.version) / 3600;
    const seen = { observedValue: Math.round(hours * 10) / 10, observedUnit: 'h', threshold };
    if (hours <= threshold) return { status: 'pass', ...seen };
    const output = `${terminalText(oldest.target)} of channel ${oldest.channel} is of ${timeOf(oldest.version)}; send a newer one`;
    return { status: 'warn', ...seen, output };
  },
});

const timeOf = (seconds: number): string =>
  seconds < 8.64e12 ? new Date(seconds * 1000).toISOString() : `version ${String(seconds)}`;

/** Bundles of which the store lost something before they were imported. */
const damaged = (ledger: ReceiverLedger): HealthCheck => ({
  name: 'store:damaged',
  check: () => {
    const bundles = ledger.inState('receiving').filter(({ code }) => code === STORE_DAMAGED);
    const seen = { observedValue: bundles.length, observedUnit: 'bundles', threshold: 0 };
    if (bundles.length === 0) return { status: 'pass', ...seen };
    const named = bundles.slice(0, 5).map(({ channel, sequence }) => `${channel}/${String(sequence)}`);
    const output = `the store has lost some of ${named.join(', ')}; a later pass or a ticket brings it again. Look at the disk, and at who writes to the store`;
    return { status: 'warn', ...seen, output };
  },
});

/** Bundles that may not come in, since there is no room. */
const room = (ledger: ReceiverLedger): HealthCheck => ({
  name: 'bundles:room',
  gates: 'ready',
  check: () => {
    const bundles = ledger.inState('receiving').filter(({ code }) => code === WAITING_FOR_ROOM || code === GIVEN_UP);
    const seen = { observedValue: bundles.length, observedUnit: 'bundles', threshold: 0 };
    const [first] = bundles;
    if (first === undefined) return { status: 'pass', ...seen };
    const output = `${first.channel}/${String(first.sequence)} waits: ${terminalText(first.detail)}. Make room, and it comes with a later pass`;
    return { status: 'warn', ...seen, output };
  },
});

/** What was imported since the backup from which the ledger was restored comes again, and is imported again once all of it is here. */
const restored = (ledger: ReceiverLedger): HealthCheck => ({
  name: 'ledger:restored',
  gates: 'ready',
  check: () => {
    const behind = ledger.keeping.behind();
    const seen = { observedValue: behind.length, observedUnit: 'channels', threshold: 0 };
    if (behind.length === 0) return { status: 'pass', ...seen };
    const output = `the ledger was restored; imports of ${behind.join(', ')} wait until all that came since is here again: a later pass or tickets bring it. What cannot come any more: sluice caught-up CHANNEL`;
    return { status: 'warn', ...seen, output };
  },
});

const redis = (queue: ImportQueue, ledger: ReceiverLedger): HealthCheck => ({
  name: 'queue:redis',
  check: async () => {
    const { reachable, reasons } = await queue.health();
    const seen = { observedValue: ledger.outbox().length, observedUnit: 'bundles in the outbox' };
    return reachable && reasons.length === 0
      ? { status: 'pass', ...seen }
      : { status: 'warn', ...seen, output: reasons.join(' ') };
  },
});

const linkAlarms = (link: LinkState): HealthCheck => ({
  name: 'link:alarms',
  check: () => {
    const [latest] = link.alarms.toSorted((a, b) => a.ageMs - b.ageMs);
    const seen = { observedValue: link.alarms.length, observedUnit: 'alarms' };
    return latest === undefined
      ? { status: 'pass', ...seen }
      : { status: 'warn', ...seen, output: `${latest.code}: ${latest.detail}` };
  },
});

/** How far back replay reaches. Less than wanted is a reason only once something was taken away: a young log is no fault. */
const chunkLogReach = ({ keeper, reachMs = 0 }: CheckParts): HealthCheck => ({
  name: 'chunk-log:reach',
  check: () => {
    const state = keeper?.state;
    const threshold = Math.round(reachMs / 1000);
    if (state === undefined) return { status: 'pass', threshold };
    if (state.failure !== undefined)
      return { status: 'warn', threshold, output: `the chunk log is not kept: ${state.failure}` };
    if (state.reaches === undefined && !state.retained) return { status: 'pass', threshold };
    const age = Math.max(0, Math.round((Date.now() - (state.reaches ?? Date.now())) / 1000));
    const seen = { observedValue: age, observedUnit: 's', threshold };
    if (age >= threshold || !state.retained) return { status: 'pass', ...seen };
    return {
      status: 'warn',
      ...seen,
      output: 'replay reaches back less far than chunkLog.reach says; raise chunkLog.totalBytes, or keep headers only',
    };
  },
});
