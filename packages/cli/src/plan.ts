import { type FecProfile, makeProfile, PROFILES } from '@sluice/fec';
import { type Plan, planTransfer } from '@sluice/transfer';
import { parseArguments, UsageError } from './arguments.ts';
import { amountOf } from './progress.ts';
import { rateOf, shareOf, sizeOf, timeOf, wholeOf } from './quantities.ts';
import { say, sayJson } from './say.ts';
import { optionsOf } from './table.ts';
import { columns, duration } from './words.ts';

/** Statements of a bundle of some hundred artifacts. */
const STATEMENT_BYTES = 65_536;

/** `sluice plan`: what a transfer will take, and how likely it is that something is missing then. */
export function plan(args: readonly string[]): number {
  const { values, positionals } = parseArguments(args, optionsOf('plan'));
  if (positionals.length > 0) throw new UsageError('plan takes options only');
  const options = {
    size: Math.max(1, sizeOf(values.size, 'size')),
    rate: rateOf(values.rate, 'rate'),
    loss: shareOf(values.loss, 'loss'),
    outageMs: timeOf(values.outage, 'outage'),
    symbolBytes: symbolOf(values.symbol),
    profile: profileOf(values.fec),
    groupBytes: sizeOf(values.group, 'group'),
    passes: wholeOf(values.passes, 'passes', 1, 100),
    topUps: wholeOf(values['top-ups'], 'top-ups', 0, 100),
    statementBytes: STATEMENT_BYTES,
    statementLeadMs: 250,
  };
  if (!(options.rate > 0)) throw new UsageError('--rate must be more than nothing');
  const planned = planTransfer(options);
  if (values.json === true) sayJson(JSON.stringify(planned));
  else say(...linesOf(planned, options.outageMs, options.groupBytes));
  return 0;
}

function symbolOf(text: string): number {
  const bytes = wholeOf(text, 'symbol', 64, 8896);
  if (bytes % 16 === 0) return bytes;
  throw new UsageError(`--symbol takes a multiple of 16; take ${String(bytes - (bytes % 16))}`);
}

/** `robust`, `fast`, or `K+M`. */
export function profileOf(text: string): FecProfile {
  if (text === 'robust' || text === 'fast') return PROFILES[text];
  const [, k = '', m = ''] = /^(\d{1,3})\+(\d{1,3})$/.exec(text) ?? [];
  const [maxBlock, repair] = [Number(k), Number(m)];
  if (maxBlock >= 1 && maxBlock <= 250 && repair >= 1 && maxBlock + repair <= 255)
    return makeProfile({ name: text, maxBlock, repair });
  throw new UsageError(`--fec takes robust, fast or K+M such as 200+20, at most 250 and 255 together; it is "${text}"`);
}

function linesOf(planned: Plan, outageMs: number, groupBytes: number): string[] {
  const { blocks, k, m, datagrams, wireBytes, repairShare, overhead, passSeconds, allSeconds } = planned;
  const isShort = planned.outageSurvivedMs < outageMs - 0.5;
  return columns([
    ['blocks', `${String(blocks)}, of ${String(k)} source and ${String(m)} repair symbols`],
    ['overhead', `${percent(overhead)}: ${percent(repairShare)} repair, the rest headers and what is said of it`],
    ['on the fibre', `${amountOf(wireBytes, 'B')} in ${String(datagrams)} datagrams a pass`],
    ['time', `${span(passSeconds)} a pass, ${span(allSeconds)} all full passes, without the gaps between them`],
    [
      'interleaving',
      `${String(planned.groupBlocks)} blocks together for ${span(planned.groupSeconds)}: an outage takes at most ${String(planned.lostToOutage)} symbols of a block`,
    ],
    [
      'outage',
      isShort
        ? `! only ${planned.outageSurvivedMs.toFixed(1)} ms are survived with half the repair: raise link.groupBytes (${amountOf(groupBytes, 'B')}), lower the rate, or have more repair`
        : `${planned.outageSurvivedMs.toFixed(1)} ms are survived with half the repair`,
    ],
    [
      'memory',
      `sender ${amountOf(planned.senderBytes, 'B')} (two groups of link.groupBytes); receiver ${amountOf(planned.receiverBytes, 'B')} of limits.blockBytes`,
    ],
    ...planned.residual.map(({ after, bundle, withOutage }, i) => [
      i === 0 ? 'not whole' : '',
      `after ${after}: ${chance(bundle)}; with one outage in it ${chance(withOutage)}`,
    ]),
  ]).slice();
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
const span = (seconds: number): string => (seconds < 1 ? `${(seconds * 1000).toFixed(0)} ms` : duration(seconds));

/** A probability as people think of it. */
function chance(probability: number): string {
  if (probability < 1e-15) return 'less than 1 in 10^15';
  if (probability >= 0.01) return percent(probability);
  const one = 1 / probability;
  return one < 1e6 ? `1 in ${one.toFixed(0)}` : `1 in 10^${Math.log10(one).toFixed(1)}`;
}
