import {
  duration,
  type Fact,
  FLIGHT_SHOWN,
  type FlightView,
  type Health,
  type Overview,
  type Pace,
  RECENT_SHOWN,
} from '@sluice/chassis';
import type { SealedBundle } from '@sluice/ledger';
import { jsonText } from '@sluice/ports';
import type { PassKind } from '@sluice/transfer';
import type { Observed } from './observe.ts';

/** What the sender's status page shows. Nothing in it says that anything arrived: that is not known on this side. */
export async function overviewOf(observed: Observed, health: Health, pace: Pace): Promise<Overview> {
  const { config, ledger, telemetry } = observed;
  const unfinished = ledger.unfinished();
  // Repairs and repeats beyond the full passes: the ledger counts those bundles as sent.
  const again = [...telemetry.moving.keys()].flatMap((id) =>
    unfinished.some((bundle) => bundle.id === id) ? [] : (ledger.bundle(id) ?? []),
  );
  const flight = [...unfinished, ...again];
  return {
    side: 'sender',
    time: new Date().toISOString(),
    uptimeSeconds: Math.floor(process.uptime()),
    link: linkOf(observed),
    channels: config.channels.map(({ name }) => {
      const { sequence } = ledger.head(name);
      return { name, level: 'unknown', state: sequence === 0 ? 'no bundle yet' : `last number ${String(sequence)}` };
    }),
    rates: telemetry.rates(config.link.symbolBytes),
    flight: flight.slice(0, FLIGHT_SHOWN).map((bundle) => flightOf(observed, bundle, pace)),
    flightMore: Math.max(0, flight.length - FLIGHT_SHOWN),
    missing: [],
    queue: queueOf(observed),
    recent: ledger.list(RECENT_SHOWN, undefined, { state: 'sent' }).bundles.map((bundle) => ({
      bundle: bundle.id,
      channel: bundle.channel,
      sequence: bundle.sequence,
      name: jsonText(bundle.name),
      level: 'unknown',
      state: sentOf(bundle.passesDone, config.carousel.passes),
      time: new Date(bundle.sealedAt).toISOString(),
    })),
    refusals: telemetry.recentRefusals,
    health: await health.report(),
    far: {
      level: 'unknown',
      state: 'cannot be seen from here',
      facts: [{ name: 'Why', value: 'light goes one way; what arrived is on the receiver’s page' }],
    },
  };
}

function linkOf({ config, telemetry }: Observed): Overview['link'] {
  const { status } = telemetry;
  const to = `${config.link.host}:${String(config.link.port)}`;
  if (!telemetry.workerAlive) {
    const detail = `the thread that sends has said nothing for ${duration(telemetry.silentMs / 1000)}`;
    return { level: 'bad', state: 'Sender hangs', detail };
  }
  if (status === undefined) return { level: 'unknown', state: 'Starting', detail: `to ${to}` };
  if (status.refusal !== undefined) return { level: 'bad', state: 'Cannot send', detail: status.refusal };
  if (status.pending > 0) {
    return { level: 'busy', state: 'Sending', detail: `to ${to}; whether it arrives is not known on this side` };
  }
  const detail = `heartbeats leave for ${to}; whether they arrive is not known on this side`;
  return { level: 'unknown', state: 'Idle', detail };
}

/** What leaves besides full passes. */
const KINDS: Readonly<Record<Exclude<PassKind, 'full'>, string>> = {
  'top-up': 'repair symbols beyond the full passes',
  statements: 'its statements once more',
  repair: 'what a ticket asked for',
};

const sentOf = (done: number, passes: number): string =>
  `sent, pass ${String(Math.min(done, passes))} of ${String(passes)}`;

function flightOf({ config, telemetry }: Observed, bundle: SealedBundle, pace: Pace): FlightView {
  const { id, channel, sequence, name, bytes, passesDone, state } = bundle;
  const { passes } = config.carousel;
  const progress = telemetry.progressOf(id);
  const eta = progress && pace.eta(`${id}/${String(passesDone)}`, progress.sentBytes, progress.totalBytes);
  const kind = telemetry.moving.get(id)?.kind ?? 'full';
  const next = kind === 'full' ? `pass ${String(passesDone + 1)} of ${String(passes)}` : KINDS[kind];
  const waits = passesDone === 0 ? `waits for ${next}` : `${sentOf(passesDone, passes)}; the next pass follows`;
  return {
    bundle: id,
    channel,
    sequence,
    name: jsonText(name),
    state: progress !== undefined ? `sending, ${next}` : state === 'sending' ? `in line for ${next}` : waits,
    totalBytes: progress?.totalBytes ?? bytes,
    ...(progress && { doneBytes: progress.sentBytes }),
    ...(eta === undefined ? {} : { etaSeconds: eta }),
  };
}

function queueOf({ config, ledger, telemetry }: Observed): readonly Fact[] {
  const since = ledger.waitingSince();
  const age = since === undefined ? 0 : Math.max(0, Date.now() - since);
  const old = age > config.health.queueAge;
  const refused = [...telemetry.refusals.values()].reduce((sum, each) => sum + each, 0);
  return [
    { name: 'Wait for their first pass', value: String(ledger.unsentCount()), level: old ? 'warn' : undefined },
    ...(since === undefined ? [] : [{ name: 'Oldest has waited', value: duration(age / 1000) }]),
    { name: 'With passes to go', value: String(ledger.unfinishedCount()) },
    {
      name: 'Passes that failed',
      value: String(telemetry.failedPasses),
      level: telemetry.failedPasses > 0 ? 'warn' : undefined,
    },
    { name: 'Inputs refused since the start', value: String(refused), level: refused > 0 ? 'warn' : undefined },
  ];
}
