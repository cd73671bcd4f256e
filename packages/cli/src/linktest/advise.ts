import { type FecProfile, makeProfile, PROFILES } from '@sluice/fec';
import { planTransfer } from '@sluice/transfer';
import type { SeenStep } from './tally.ts';

/** Beyond twice the least loss of any step, and this, a rate is too high. */
const LOSS_SLACK = 1e-4;
/** What was measured for seconds is taken for worse when it comes to months. */
const SAFETY = 3;
/** A bundle of this size may fail so seldom in its first pass. */
const BUNDLE_BYTES = 20e9;
const FAILURE = 1e-6;
/** Outages that are survived in any case, and by what steps they grow, milliseconds. */
const OUTAGE_LEAST_MS = 20;
const OUTAGE_STEP_MS = 5;
const OUTAGE_MOST_MS = 1000;

/** From the cheapest on. */
const CANDIDATES: readonly FecProfile[] = [
  PROFILES.robust,
  makeProfile({ name: '200+30', maxBlock: 200, repair: 30 }),
  makeProfile({ name: '200+40', maxBlock: 200, repair: 40 }),
  makeProfile({ name: '150+50', maxBlock: 150, repair: 50 }),
  makeProfile({ name: '120+60', maxBlock: 120, repair: 60 }),
  makeProfile({ name: '100+100', maxBlock: 100, repair: 100 }),
];

export interface Advice {
  /** Highest rate at which no more is lost than at lower ones; undefined when nothing came. */
  readonly bitsPerSecond: number | undefined;
  readonly profile: string;
  readonly outageMs: number;
  /** That a bundle of 20 GB is not whole after its first pass, at three times the loss that was seen. */
  readonly failure: number;
  /** What must be said beside it. */
  readonly notes: readonly string[];
}

/** What to set, by what was seen. */
export function advise(steps: readonly SeenStep[], symbolBytes: number): Advice {
  const seen = steps.filter(({ received }) => received > 0);
  const least = Math.min(...seen.map(({ loss }) => loss));
  const rising = seen.toSorted((a, b) => a.bitsPerSecond - b.bitsPerSecond);
  const bad = rising.findIndex(({ loss }) => loss > 2 * least + LOSS_SLACK);
  const good = bad === -1 ? rising : rising.slice(0, bad);
  const best = good.at(-1);
  const [sent, lost] = [sum(good, ({ received, lost: gone }) => received + gone), sum(good, ({ lost: gone }) => gone)];
  const loss = Math.min(0.5, Math.max(1e-4, sent === 0 ? 0 : (SAFETY * lost) / sent));
  const longestMs = Math.max(0, ...good.map(({ longestBurstMs }) => longestBurstMs));
  const outageMs = Math.min(
    OUTAGE_MOST_MS,
    Math.max(OUTAGE_LEAST_MS, Math.ceil((2 * longestMs) / OUTAGE_STEP_MS) * OUTAGE_STEP_MS),
  );
  const failureOf = (profile: FecProfile): number =>
    planTransfer({
      ...{ size: BUNDLE_BYTES, rate: best?.bitsPerSecond ?? 1e9, loss, outageMs, symbolBytes, profile },
      ...{ groupBytes: 2 ** 30, passes: 1, topUps: 0, statementBytes: 65_536, statementLeadMs: 250 },
    }).residual[0]?.bundle ?? 1;
  const profile = CANDIDATES.find((each) => failureOf(each) < FAILURE) ?? CANDIDATES.at(-1) ?? PROFILES.robust;
  return {
    bitsPerSecond: best?.bitsPerSecond,
    profile: profile.name,
    outageMs,
    failure: failureOf(profile),
    notes: notesOf(steps, rising[bad], failureOf(profile)),
  };
}

const sum = (steps: readonly SeenStep[], of: (step: SeenStep) => number): number =>
  steps.reduce((total, step) => total + of(step), 0);

function notesOf(steps: readonly SeenStep[], tooFast: SeenStep | undefined, failure: number): string[] {
  const drops = sum(steps, ({ kernelDrops }) => kernelDrops);
  return [
    ...(tooFast === undefined
      ? ['no rate was too high: the sweep may go further up']
      : tooFast.kernelDrops > tooFast.lost / 2
        ? [
            'what was lost at higher rates was lost in this host: a larger receive buffer, or a core for link, may carry more',
          ]
        : []),
    ...(drops > 0
      ? [`${String(drops)} datagrams found no room in the socket: raise the receive buffer (deploy/README.md)`]
      : []),
    ...(failure > FAILURE ? ['no code makes up for this loss in one pass: find what loses, or have more passes'] : []),
    ...(steps.some(({ received }) => received === 0) ? ['of some steps nothing came at all'] : []),
  ];
}
