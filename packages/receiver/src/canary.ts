import { parseEnvelope, parseReceipt } from '@sluice/bundle';
import { duration, type Level, type HealthCheck, type Metrics } from '@sluice/chassis';
import type { BundleRecord, ReceiverLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import type { ReceiverConfig } from './config.ts';
import type { LinkState } from './link-state.ts';

/** What is known of the canary. Ages are seconds of the sender's authenticated time, from its seal. */
export interface CanarySeen {
  readonly limitSeconds: number;
  /** The age of the latest one whose digests were proven; undefined while none was, or while the sender was not heard. */
  readonly ageSeconds?: number;
  /** How long that one took from seal to proof. */
  readonly tookSeconds?: number;
  readonly sequence?: number;
  /** Where its digests were proven. */
  readonly sites?: readonly string[];
  /** Why there is no age. */
  readonly why?: string;
}

interface Proven {
  readonly sequence: number;
  readonly sealed: number;
  readonly took: number | undefined;
  readonly sites: readonly string[];
}

/** A bundle that crosses and is imported again and again by itself: its age says whether the whole way is open. */
export class Canary {
  readonly #config: NonNullable<ReceiverConfig['canary']>;
  readonly #ledger: ReceiverLedger;
  readonly #link: LinkState;
  #known: { readonly bundle: Digest; readonly proven: Proven | string } | undefined;

  constructor(config: NonNullable<ReceiverConfig['canary']>, ledger: ReceiverLedger, link: LinkState) {
    this.#config = config;
    this.#ledger = ledger;
    this.#link = link;
  }

  get channel(): string {
    return this.#config.channel;
  }

  look(): CanarySeen {
    const { channel, release, maxAge } = this.#config;
    const limitSeconds = Math.round(maxAge / 1000);
    const bundle = this.#ledger.lastImported(channel, release);
    if (bundle === undefined) return { limitSeconds, why: 'none has been imported yet' };
    if (this.#known?.bundle !== bundle.id) this.#known = { bundle: bundle.id, proven: this.#prove(bundle) };
    const { proven } = this.#known;
    if (typeof proven === 'string') return { limitSeconds, why: proven };
    const { sequence, sealed, took, sites } = proven;
    const seen = { limitSeconds, sequence, sites, ...(took === undefined ? {} : { tookSeconds: took }) };
    const now = this.#link.senderSeconds(channel);
    if (now === undefined)
      return { ...seen, why: `the sender of channel ${channel} was not heard since the receiver started` };
    return { ...seen, ageSeconds: Math.max(0, now - sealed) };
  }

  /** When it was sealed, and where its digests were seen; in words why that is not known. */
  #prove({ id, sequence }: BundleRecord): Proven | string {
    const events = this.#ledger.events.about(id);
    const numberOf = (kind: string, name: string): number | undefined => {
      const value = events.findLast((event) => event.kind === kind)?.body[name];
      return typeof value === 'number' ? value : undefined;
    };
    const sealed = numberOf('received', 'seconds');
    if (sealed === undefined) return `of bundle ${String(sequence)} it is not recorded when it was sealed`;
    const sites = this.#sitesOf(id);
    const { site } = this.#config;
    if (site !== undefined && !sites.includes(site))
      return `the receipt of bundle ${String(sequence)} proves no digest at site ${site}: it names ${sites.join(', ') || 'none'}`;
    const done = numberOf('imported', 'senderSeconds');
    return { sequence, sealed, took: done === undefined ? undefined : Math.max(0, done - sealed), sites };
  }

  /** The sites at which each of its artifacts was proven. */
  #sitesOf(id: Digest): readonly string[] {
    const envelope = this.#ledger.receipt(id);
    const parsed = envelope === undefined ? undefined : parseEnvelope(envelope);
    const receipt = parsed?.ok === true ? parseReceipt(parsed.value.payload) : undefined;
    if (receipt?.ok !== true) return [];
    const [first, ...others] = receipt.value.artifacts.map(({ sites }) => sites.map(({ site }) => site));
    return (first ?? []).filter((site) => others.every((sites) => sites.includes(site)));
  }
}

/** Old, or not to be had: in one sentence. */
function judged({ ageSeconds, limitSeconds, why }: CanarySeen): { readonly well: boolean; readonly words: string } {
  if (ageSeconds === undefined) return { well: false, words: `the age of the canary is not known: ${why ?? ''}` };
  if (ageSeconds <= limitSeconds) return { well: true, words: '' };
  const words = `nothing has come the whole way for ${duration(ageSeconds)}: sender, link, receiver or importer`;
  return { well: false, words };
}

export const canaryCheck = (canary: Canary): HealthCheck => ({
  name: 'canary:age',
  check: () => {
    const seen = canary.look();
    const { well, words } = judged(seen);
    const { ageSeconds, limitSeconds: threshold } = seen;
    const shown = { threshold, ...(ageSeconds === undefined ? {} : { observedValue: ageSeconds, observedUnit: 's' }) };
    return well ? { status: 'pass', ...shown } : { status: 'warn', ...shown, output: words };
  },
});

/** The one number on top of the page. */
export function canaryView(canary: Canary): { readonly level: Level; readonly age: string; readonly detail: string } {
  const seen = canary.look();
  const { well, words } = judged(seen);
  const { ageSeconds, limitSeconds, sequence, tookSeconds, sites = [] } = seen;
  const took = tookSeconds === undefined ? '' : `, in ${duration(tookSeconds)}`;
  const last =
    sequence === undefined ? '' : `bundle ${String(sequence)} came the whole way, to ${sites.join(' and ')}${took}`;
  const limit = `the limit is ${duration(limitSeconds)}`;
  return {
    level: well ? 'good' : 'warn',
    age: ageSeconds === undefined ? 'not known' : duration(ageSeconds),
    detail: [words, last, limit].filter((each) => each !== '').join('; '),
  };
}

/** The names are there also where no canary is configured; the numbers are not: 0 would be young. */
export function addCanaryMetrics(metrics: Metrics, canary: Canary | undefined): void {
  const gauge = (name: string, help: string, value: (seen: CanarySeen) => number | undefined): void => {
    metrics.gauge({
      name,
      help,
      labels: ['channel'],
      collect: (each) => {
        each.reset();
        const now = canary === undefined ? undefined : value(canary.look());
        if (canary !== undefined && now !== undefined) each.set({ channel: canary.channel }, now);
      },
    });
  };
  gauge(
    'sluice_canary_age_seconds',
    'Time of the sender since it sealed the latest canary that was imported and proven.',
    ({ ageSeconds }) => ageSeconds,
  );
  gauge('sluice_canary_limit_seconds', 'The age at which the canary is too old.', ({ limitSeconds }) => limitSeconds);
  gauge(
    'sluice_canary_transit_seconds',
    'Time of the sender from seal to proof of the latest canary.',
    ({ tookSeconds }) => tookSeconds,
  );
}
