import { encodeFdt, FDT_SYMBOL_LESS, HEADER_BYTES } from '@sluice/alc';
import { type FecProfile, partition, passEsis, repairCount, topUpEsis } from '@sluice/fec';
import { shortestAirtime } from './send/order.ts';
import { BURST_NS, ethernetBytes } from './send/pacer.ts';
import { FDT_INTERVAL_NS, NS_PER_MS, slotBytes, statementLeadNs } from './send/types.ts';

/** Encoding symbols that there are of a block. */
const ESIS = 255;
/** Statements leave twice, and once at the end. */
const STATEMENT_SENDINGS = 3;

export interface PlanOptions {
  /** Content of the bundle in bytes, as one object. */
  readonly size: number;
  /** Ethernet bits per second. */
  readonly rate: number;
  /** Probability that a datagram is lost, each for itself. */
  readonly loss: number;
  /** Outage that costs a block at most half its repair. */
  readonly outageMs: number;
  readonly symbolBytes: number;
  readonly profile: FecProfile;
  readonly groupBytes: number;
  readonly passes: number;
  readonly topUps: number;
  /** Both statements. */
  readonly statementBytes: number;
  readonly statementLeadMs: number;
}

/** How likely it is that something is still missing. */
export interface Residual {
  /** `pass 1`, `top-up 2`. */
  readonly after: string;
  /** Of one block. */
  readonly block: number;
  /** Of the bundle: of any of its blocks. */
  readonly bundle: number;
  /** The same when one outage of the planned length falls into the first pass. */
  readonly withOutage: number;
}

export interface Plan {
  readonly blocks: number;
  /** Source and repair symbols of the largest block. */
  readonly k: number;
  readonly m: number;
  readonly sourceSymbols: number;
  readonly repairSymbols: number;
  /** Datagrams of a full pass: symbols, FDT Instances, statements. */
  readonly datagrams: number;
  /** Bytes on the fibre of a full pass. */
  readonly wireBytes: number;
  /** What the fibre carries beyond the content, as a share of it: of repair alone, and in all. */
  readonly repairShare: number;
  readonly overhead: number;
  readonly passSeconds: number;
  /** All full passes, without the gaps between them. */
  readonly allSeconds: number;
  /** Blocks interleaved together, the airtime they take, and the datagrams that are held for it twice. */
  readonly groupBlocks: number;
  readonly groupSeconds: number;
  readonly groupBytes: number;
  /** What the sender holds: two groups as large as its limit allows. */
  readonly senderBytes: number;
  /** What the receiver gathers at once, at most: the end of one group and the whole of the next. */
  readonly receiverBytes: number;
  /** Symbols that an outage takes from a block, at most. */
  readonly lostToOutage: number;
  /** The outage that a block survives with half its repair, where `groupBytes` allows no longer group. */
  readonly outageSurvivedMs: number;
  readonly residual: readonly Residual[];
}

/** What a transfer will take, by the rules that the sending machine goes by. */
export function planTransfer(options: PlanOptions): Plan {
  const { size, rate, symbolBytes, profile, passes, topUps, statementBytes } = options;
  const cut = partition(size, symbolBytes, profile.maxBlock);
  const [k, m] = [cut.large, repairCount(cut.large, profile)];
  const smallRepair = cut.small === 0 ? 0 : repairCount(cut.small, profile);
  const repairSymbols = cut.largeBlocks * m + (cut.blocks - cut.largeBlocks) * smallRepair;
  const group = groupOf(options, k, m, cut.blocks);
  const datagramNs = (ethernetBytes(HEADER_BYTES + symbolBytes) * 8e9) / rate;
  const symbols = cut.symbols + repairSymbols;
  const statements = STATEMENT_SENDINGS * symbolsWithRepair(statementBytes, options);
  const blobNs = Math.max(symbols * datagramNs, group.leastNs);
  const fdts = fdtDatagrams(options) * (2 + Math.ceil(blobNs / FDT_INTERVAL_NS) + 2 * STATEMENT_SENDINGS);
  const statementNs = STATEMENT_SENDINGS * Math.max((statements / STATEMENT_SENDINGS) * datagramNs, group.statementNs);
  const leadNs = statementLeadNs(options, statementBytes);
  const passSeconds = (blobNs + fdts * datagramNs + statementNs + leadNs) / 1e9;
  const datagrams = symbols + statements + fdts;
  const wireBytes = datagrams * ethernetBytes(HEADER_BYTES + symbolBytes);
  return {
    ...{ blocks: cut.blocks, k, m, sourceSymbols: cut.symbols, repairSymbols, datagrams, wireBytes },
    repairShare: repairSymbols / cut.symbols,
    overhead: wireBytes / size - 1,
    passSeconds,
    allSeconds: passSeconds * passes,
    groupBlocks: group.blocks,
    groupSeconds: (group.blocks * (k + m) * datagramNs) / 1e9,
    groupBytes: group.blocks * (k + m) * (HEADER_BYTES + symbolBytes),
    senderBytes: 2 * slotBytes(options),
    receiverBytes: 2 * Math.min(cut.blocks, group.blocks) * (k + m) * symbolBytes,
    lostToOutage: group.lost,
    outageSurvivedMs: group.survivedMs,
    residual: residualOf(
      { options, k, m, blocks: cut.blocks, hit: Math.min(cut.blocks, 2 * group.blocks) },
      group.lost,
      passes,
      topUps,
    ),
  };
}

/** As the pass cuts its blocks into groups (PROTOCOL.md I-1). */
function groupOf(
  { rate, symbolBytes, outageMs, groupBytes, statementBytes, profile }: PlanOptions,
  k: number,
  m: number,
  blocks: number,
) {
  const datagramNs = (ethernetBytes(HEADER_BYTES + symbolBytes) * 8e9) / rate;
  const outageNs = outageMs === 0 ? 0 : outageMs * NS_PER_MS + BURST_NS;
  const wantedNs = shortestAirtime(k, m, outageNs);
  const wanted = Math.max(1, Math.ceil(wantedNs / ((k + m) * datagramNs)));
  const most = Math.max(
    1,
    Math.floor(slotBytes({ groupBytes, symbolBytes }) / ((k + m) * (HEADER_BYTES + symbolBytes))),
  );
  const inGroup = Math.min(wanted, most);
  // A bundle smaller than a group is stretched to its airtime; a group that memory ended is not.
  const isStretched = blocks < inGroup || (blocks === inGroup && wanted <= most);
  const airtimeNs = Math.max(isStretched ? wantedNs : 0, Math.min(blocks, inGroup) * (k + m) * datagramNs);
  const spacingNs = airtimeNs / (k + m);
  const lost = outageNs === 0 ? 0 : Math.min(k + m, Math.ceil(outageNs / spacingNs));
  const half = Math.max(1, Math.floor(m / 2));
  const survivedMs = Math.max(0, (half * spacingNs - BURST_NS) / NS_PER_MS);
  const own = partition(statementBytes, symbolBytes, profile.maxBlock);
  return {
    blocks: Math.min(inGroup, blocks),
    lost,
    survivedMs,
    leastNs: isStretched ? wantedNs : 0,
    statementNs: shortestAirtime(own.large, repairCount(own.large, profile), outageNs),
  };
}

/** Datagrams of an object with its repair. */
function symbolsWithRepair(size: number, { symbolBytes, profile }: PlanOptions): number {
  const { blocks, large, small, largeBlocks, symbols } = partition(size, symbolBytes, profile.maxBlock);
  const repair =
    largeBlocks * repairCount(large, profile) +
    (blocks - largeBlocks) * (small === 0 ? 0 : repairCount(small, profile));
  return symbols + repair;
}

/** Datagrams of one sending of an FDT Instance of one file. */
function fdtDatagrams({ symbolBytes, profile }: PlanOptions): number {
  const file = {
    toi: 1,
    digest: `sha256:${'0'.repeat(64)}`,
    length: 2 ** 30,
    contentType: 'application/octet-stream',
  } as const;
  const document = encodeFdt({
    expires: 2 ** 31,
    maxBlock: profile.maxBlock,
    symbolBytes,
    maxSymbols: ESIS,
    files: [file],
  });
  const k = Math.ceil(document.length / (symbolBytes - FDT_SYMBOL_LESS));
  return k + (k <= profile.maxBlock ? repairCount(k, profile) : 0);
}

interface Block {
  readonly options: PlanOptions;
  readonly k: number;
  readonly m: number;
  readonly blocks: number;
  /** Blocks that an outage meets, at most: it may fall on the seam of two groups. */
  readonly hit: number;
}

function residualOf({ options, k, m, blocks, hit }: Block, lost: number, passes: number, topUps: number): Residual[] {
  const sendings = new Array<Uint8Array>();
  return Array.from({ length: passes + topUps }, (_, pass) => {
    sendings.push(pass < passes ? passEsis(pass, k, m) : topUpEsis(pass, k, m));
    const block = blockFailure(k, sendings, options.loss);
    const met = blockFailure(k, sendings, options.loss, lost);
    return {
      after: pass < passes ? `pass ${String(pass + 1)}` : `top-up ${String(pass - passes + 1)}`,
      block,
      bundle: anyOf(block, blocks),
      withOutage: 1 - (1 - anyOf(block, blocks - hit)) * (1 - anyOf(met, hit)),
    };
  });
}

/** Probability that one of so many comes about, each for itself: exact for the smallest too. */
const anyOf = (each: number, count: number): number =>
  each >= 1 ? Math.min(1, count) : -Math.expm1(count * Math.log1p(-each));

/**
 * Probability that fewer than k different symbols of a block come of these sendings, each datagram lost with `loss`; of the
 * first sending `gone` symbols are lost for certain, which we take to be its last. Exact: one symbol after the other.
 */
export function blockFailure(k: number, sendings: readonly Uint8Array[], loss: number, gone = 0): number {
  const times = new Uint8Array(ESIS);
  for (const [i, esis] of sendings.entries()) {
    for (const esi of i === 0 ? esis.subarray(0, Math.max(0, esis.length - gone)) : esis)
      times[esi] = (times[esi] ?? 0) + 1;
  }
  // come[n]: probability that n symbols came, up to k - 1; whoever has k is out.
  const come = new Float64Array(k);
  come[0] = 1;
  for (const sent of times) {
    if (sent === 0) continue;
    const not = loss ** sent;
    for (let n = k - 1; n > 0; n -= 1) come[n] = (come[n] ?? 0) * not + (come[n - 1] ?? 0) * (1 - not);
    come[0] *= not;
  }
  return Math.min(
    1,
    come.reduce((sum, each) => sum + each, 0),
  );
}
