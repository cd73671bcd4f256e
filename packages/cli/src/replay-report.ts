import { basename } from 'node:path';
import type { CaptureCode } from '@sluice/pcapng';
import type { ReplayedObject } from './replay-spool.ts';

/** Verdicts recorded in the log against those of the replay. */
export interface Comparison {
  same: number;
  /**
   * Authentic both times, and news at one of them alone: the receiver had taken the object before, or wanted it anew (a history
   * is, once it was read). The log does not say when.
   */
  need: number;
  differing: number;
  unrecorded: number;
  /** Authentic then, and not under the keys given. */
  unheld: number;
}

export interface ReplayReport {
  readonly files: number;
  /** Number of the first file when it is not 1: what came before was removed, or not given. */
  readonly firstFile: number | undefined;
  /** False without link keys: tags are as recorded, and not rechecked. */
  readonly tagsChecked: boolean;
  readonly datagrams: number;
  /** Datagrams that the log holds headers of only: their tags cannot be checked, nothing comes out of them. */
  readonly cut: number;
  /** Of those: what link recorded, and numbers missing between them. Nothing vouches for it. */
  readonly byHeaders: { readonly verdicts: Readonly<Record<string, number>>; readonly lost: number };
  readonly verdicts: Readonly<Record<string, number>>;
  readonly recorded: Readonly<Comparison>;
  /** Verdicts that are not as recorded: `then -> now`. */
  readonly differences: Readonly<Record<string, number>>;
  /** Lost on the link. */
  readonly lost: number;
  /** Left out by the log itself, by its own word. */
  readonly unlogged: number;
  readonly recoveredSymbols: number;
  readonly blocks: number;
  readonly sessions: readonly number[];
  readonly heartbeats: number;
  readonly objects: readonly ReplayedObject[];
  /** Captures that could not be read to their end. */
  readonly faults: readonly { readonly file: string; readonly code: CaptureCode; readonly offset: number }[];
  /** Why the replay proves less than the whole, a sentence each; none when everything in the log came out whole. */
  readonly problems: readonly string[];
}

const FAULTS: Readonly<Record<CaptureCode, string>> = {
  'not-a-capture': 'is no pcapng or pcap file',
  truncated: 'is cut off',
  'bad-block': 'is damaged',
  'bad-version': 'is of a pcapng version that is not known',
  'too-many-interfaces': 'describes too many interfaces',
};

/** Looks for what keeps a replay from being the whole story. */
export function problemsOf(report: Omit<ReplayReport, 'problems'>, gaps: readonly string[]): string[] {
  const { datagrams, cut, faults, objects, recorded, verdicts } = report;
  const authentic = (verdicts.accepted ?? 0) + (verdicts.surplus ?? 0);
  const partial = objects.filter(({ state }) => state !== 'whole').length;
  return [
    ...faults.map(
      ({ file, code, offset }) =>
        `${basename(file)} ${FAULTS[code]} at byte ${String(offset)} (${code}); what came before it was used`,
    ),
    ...gaps,
    ...(report.unlogged > 0
      ? [`the log left out ${String(report.unlogged)} datagrams because its disk did not keep up`]
      : []),
    ...(datagrams === 0 ? ['there is no datagram in it; look at the files, and at --port'] : []),
    ...(cut > 0
      ? [
          `of ${String(cut)} of ${String(datagrams)} datagrams the log holds headers only, so nothing comes out of them; chunkLog.mode "full" keeps all`,
        ]
      : []),
    ...(recorded.unheld > 0
      ? [
          `${String(recorded.unheld)} datagrams that link found authentic are not so under these keys: a wrong or missing key, or a changed log`,
        ]
      : []),
    ...(datagrams > cut && authentic === 0 && recorded.unheld === 0
      ? ['no datagram is authentic under these keys: a wrong key, or not our traffic']
      : []),
    ...(partial > 0 ? [`${String(partial)} of ${String(objects.length)} objects did not come out whole`] : []),
  ];
}

/** The report for people: received, lost, repaired, rejected, and what came out. */
export function inWords(report: ReplayReport, out: string | undefined): readonly string[] {
  const { files, firstFile, datagrams, sessions, heartbeats, recorded, lost, recoveredSymbols, blocks } = report;
  const { objects, problems, cut, byHeaders } = report;
  const from = firstFile === undefined ? '' : `, the first is number ${String(firstFile)}`;
  const { taken, rejected } = split(report.verdicts);
  const headers = split(byHeaders.verdicts);
  const { same, need, differing, unrecorded } = recorded;
  const differences = Object.entries(report.differences).map(([pair, count]) => `${pair} ${String(count)}`);
  return [
    `read        ${String(datagrams)} datagrams in ${String(files)} files${from}`,
    `sessions    ${sessions.join(', ') || 'none'}; ${String(heartbeats)} heartbeats`,
    `received    ${taken}`,
    `lost        ${String(lost)} datagrams, by gaps in the sequence numbers`,
    `repaired    ${String(recoveredSymbols)} source symbols; ${String(blocks)} blocks whole`,
    `rejected    ${rejected}`,
    ...(cut === 0
      ? []
      : [
          `headers     ${String(cut)} with headers only; link recorded ${headers.taken}; rejected ${headers.rejected}; ${String(byHeaders.lost)} lost`,
        ]),
    `recorded    ${String(same)} verdicts of the log are the same, ${String(differing)} differ, ${String(unrecorded)} datagrams have none`,
    ...(need === 0
      ? []
      : [
          `need        ${String(need)} more were news then or now, and not both times: the receiver had taken the object, or wanted it anew`,
        ]),
    ...(need + differing === 0 ? [] : [`differ      ${differences.join(', ')}`]),
    ...(report.tagsChecked ? [] : ['tags        recorded, not rechecked: no link keys were given']),
    ...objects.map(
      ({ channel, digest, size, contentType, state }) =>
        `object      ${channel} ${digest} ${String(size)} ${contentType} ${state}`,
    ),
    ...(out === undefined ? [] : [`written     ${out}`]),
    ...problems.map((problem) => `problem     ${problem}`),
    `result      ${problems.length === 0 ? 'complete' : 'not complete'}`,
  ];
}

/** Verdicts as text: those of datagrams that were taken, and the others with their sum. */
function split(verdicts: Readonly<Record<string, number>>): { readonly taken: string; readonly rejected: string } {
  const { accepted = 0, surplus = 0, ...others } = verdicts;
  const codes = Object.entries(others);
  const sum = codes.reduce((total, [, count]) => total + count, 0);
  const named = codes.map(([code, count]) => `${code} ${String(count)}`).join(', ');
  return {
    taken: `${String(accepted)} accepted, ${String(surplus)} surplus`,
    rejected: named === '' ? '0' : `${String(sum)}: ${named}`,
  };
}
