import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { array, loadConfig, object } from '@sluice/base';
import { createCodec } from '@sluice/fec';
import { linkKeyConfig } from '@sluice/link';
import { readChunkLog } from '@sluice/pcapng';
import type { LinkKey, Verdict } from '@sluice/ports';
import { DEFAULT_LIMITS, ReceiveMachine } from '@sluice/transfer';
import { makeLinkKey, parseLinkKey, sha256 } from '@sluice/trust';
import { parseArguments, required, UsageError } from './arguments.ts';
import { ReplaySpool, type ReplayedObject } from './replay-spool.ts';

const keysFile = object('link keys for replay: the "keys" of a link configuration', {
  keys: array('link keys', linkKeyConfig, { min: 1, max: 16 }),
});

/** Verdict recorded in the log against the one of the replay. */
interface Comparison {
  same: number;
  differing: number;
  unrecorded: number;
}

export interface ReplayReport {
  readonly datagrams: number;
  /** Datagrams that the log holds headers of only: they cannot be checked. */
  readonly cut: number;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly recorded: Comparison;
  readonly lost: number;
  readonly recoveredSymbols: number;
  readonly blocks: number;
  readonly sessions: readonly number[];
  readonly heartbeats: number;
  readonly objects: readonly ReplayedObject[];
  /** Captures that could not be read to their end. */
  readonly faults: readonly { readonly file: string | undefined; readonly code: string; readonly offset: number }[];
}

/** `sluice replay`: feeds whole logs through the receiving machines, with a replay window of its own. */
export async function replay(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, {
    keys: { type: 'string' },
    out: { type: 'string' },
    json: { type: 'boolean', default: false },
    port: { type: 'string' },
  });
  if (positionals.length === 0) throw new UsageError('replay takes the chunk logs or captures');
  const { keys } = loadConfig(required(values.keys, 'keys'), keysFile);
  const linkKeys = keys.map(({ keyFile, ...key }) => makeLinkKey({ ...key, key: parseLinkKey(keyFile.text()) }));
  const directory = values.out ?? mkdtempSync(`${tmpdir()}/sluice-replay-`);
  try {
    const port = values.port === undefined ? undefined : Number(values.port);
    const report = await run(positionals.toSorted(), linkKeys, directory, port);
    process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : inWords(report, values.out));
    const good = report.faults.length === 0 && report.objects.every(({ state }) => state === 'whole');
    return good ? 0 : 1;
  } finally {
    if (values.out === undefined) rmSync(directory, { recursive: true, force: true });
  }
}

async function run(
  logs: readonly string[],
  linkKeys: readonly LinkKey[],
  directory: string,
  port: number | undefined,
): Promise<ReplayReport> {
  const byAsid: (LinkKey | undefined)[] = [];
  for (const key of linkKeys) byAsid[key.asid] = key;
  const spool = new ReplaySpool(directory);
  const sessions: number[] = [];
  let heartbeats = 0;
  const machine = new ReceiveMachine(
    {
      keys: byAsid,
      codec: createCodec(),
      sha256,
      spool,
      onEvent: (event) => {
        if (event.type === 'session') sessions.push(event.tsi);
        if (event.type === 'heartbeat') heartbeats += 1;
      },
    },
    DEFAULT_LIMITS,
    0,
  );
  const counts = { datagrams: 0, cut: 0 };
  const recorded: Comparison = { same: 0, differing: 0, unrecorded: 0 };
  const faults: { file: string | undefined; code: string; offset: number }[] = [];
  for await (const item of readChunkLog(logs)) {
    if (item.kind === 'fault') faults.push({ file: item.file, code: item.code, offset: item.offset });
    if (item.kind !== 'datagram' || (port !== undefined && item.udp.dstPort !== port)) continue;
    counts.datagrams += 1;
    const { payload, originalLength } = item.udp;
    if (payload.length < originalLength) {
      counts.cut += 1;
      continue;
    }
    const now = Number(item.timestampNs);
    machine.tick(now);
    compare(recorded, item.comment, machine.receive(payload, 0, payload.length, now));
  }
  const { blocks, recoveredSymbols, verdicts } = machine.counters;
  return {
    ...counts,
    verdicts: Object.fromEntries([...verdicts].toSorted()),
    recorded,
    lost: machine.lost,
    recoveredSymbols,
    blocks,
    sessions,
    heartbeats,
    objects: await spool.finish(),
    faults,
  };
}

function compare(recorded: Comparison, comment: string | undefined, verdict: Verdict): void {
  if (comment === undefined) recorded.unrecorded += 1;
  else if (comment === verdict) recorded.same += 1;
  else recorded.differing += 1;
}

function inWords(report: ReplayReport, out: string | undefined): string {
  const { datagrams, cut, verdicts, recorded, lost, recoveredSymbols, blocks, sessions, heartbeats, objects, faults } =
    report;
  const lines = [
    `datagrams   ${String(datagrams)} read, ${String(cut)} with headers only, ${String(lost)} lost on the link`,
    `sessions    ${sessions.join(', ') || 'none'}; ${String(heartbeats)} heartbeats`,
    `verdicts    ${Object.entries(verdicts)
      .map(([verdict, count]) => `${verdict} ${String(count)}`)
      .join(', ')}`,
    `recorded    ${String(recorded.same)} the same, ${String(recorded.differing)} differ, ${String(recorded.unrecorded)} without a recorded verdict`,
    `repaired    ${String(recoveredSymbols)} source symbols in ${String(blocks)} blocks`,
    ...objects.map(
      ({ digest, size, contentType, state }) => `object      ${digest} ${String(size)} ${contentType} ${state}`,
    ),
    ...faults.map(({ file, code, offset }) => `fault       ${file ?? ''} at byte ${String(offset)}: ${code}`),
    ...(out === undefined ? [] : [`written     ${out}`]),
  ];
  return `${lines.join('\n')}\n`;
}
