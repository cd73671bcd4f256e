import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { array, loadConfig, object } from '@sluice/base';
import { createCodec } from '@sluice/fec';
import { linkKeyConfig } from '@sluice/link';
import { type CaptureCode, readChunkLog } from '@sluice/pcapng';
import type { LinkKey, Verdict } from '@sluice/ports';
import { DEFAULT_LIMITS, ReceiveMachine } from '@sluice/transfer';
import { makeLinkKey, parseLinkKey, sha256 } from '@sluice/trust';
import { parseArguments, required, UsageError } from './arguments.ts';
import { arrange } from './replay-files.ts';
import { HeaderTally, recordedVerdict, wasAuthentic } from './replay-headers.ts';
import { type Comparison, inWords, problemsOf, type ReplayReport } from './replay-report.ts';
import { ReplaySpool } from './replay-spool.ts';
import { say, sayJson } from './say.ts';
import { optionsOf } from './table.ts';

const keysFile = object('link keys for replay: the "keys" of a link configuration', {
  keys: array('link keys', linkKeyConfig, { min: 1, max: 16 }),
});

/**
 * `sluice replay`: feeds whole logs through the receiving machines, with a replay window of its own. The status is 0
 * when everything in the log came out whole, else 1.
 */
export async function replay(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('replay'));
  if (positionals.length === 0) throw new UsageError('replay takes the chunk logs or captures');
  const port = values.port === undefined ? undefined : portOf(values.port);
  const { keys } = loadConfig(required(values.keys, 'keys'), keysFile);
  const linkKeys = keys.map(({ keyFile, ...key }) => makeLinkKey({ ...key, key: parseLinkKey(keyFile.text()) }));
  const directory = values.out ?? mkdtempSync(`${tmpdir()}/sluice-replay-`);
  try {
    const report = await run(positionals, linkKeys, directory, port);
    if (values.json === true) sayJson(JSON.stringify(report));
    else say(...inWords(report, values.out));
    return report.problems.length === 0 ? 0 : 1;
  } finally {
    if (values.out === undefined) rmSync(directory, { recursive: true, force: true });
  }
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new UsageError('--port takes a UDP port, 1 to 65535');
}

async function run(
  paths: readonly string[],
  linkKeys: readonly LinkKey[],
  directory: string,
  port: number | undefined,
): Promise<ReplayReport> {
  const spool = new ReplaySpool(directory);
  const { machine, heard } = openMachine(linkKeys, spool);
  const { files, gaps, first } = arrange(paths);
  const headers = new HeaderTally();
  const recorded: Comparison = { same: 0, differing: 0, unrecorded: 0, unheld: 0 };
  const counts = { datagrams: 0, cut: 0 };
  const faults: { file: string; code: CaptureCode; offset: number }[] = [];
  for await (const item of readChunkLog(files)) {
    if (item.kind === 'fault') faults.push({ file: item.file ?? '', code: item.code, offset: item.offset });
    if (item.kind !== 'datagram' || (port !== undefined && item.udp.dstPort !== port)) continue;
    counts.datagrams += 1;
    const { payload, originalLength } = item.udp;
    const then = recordedVerdict(item.comment);
    if (payload.length < originalLength) {
      counts.cut += 1;
      headers.add(payload, then);
      continue;
    }
    const now = Number(item.timestampNs);
    machine.tick(now);
    compare(recorded, then, machine.receive(payload, 0, payload.length, now));
  }
  const { blocks, recoveredSymbols, verdicts } = machine.counters;
  const report = {
    files: files.length,
    firstFile: first === 1 ? undefined : first,
    ...counts,
    byHeaders: { verdicts: Object.fromEntries([...headers.verdicts].toSorted()), lost: headers.lost },
    verdicts: Object.fromEntries([...verdicts].toSorted()),
    recorded,
    lost: machine.lost,
    recoveredSymbols,
    blocks,
    ...heard,
    objects: await spool.finish(),
    faults,
  };
  return { ...report, problems: problemsOf(report, gaps) };
}

function openMachine(linkKeys: readonly LinkKey[], spool: ReplaySpool) {
  const keys: (LinkKey | undefined)[] = [];
  for (const key of linkKeys) keys[key.asid] = key;
  const heard = { sessions: new Array<number>(), heartbeats: 0 };
  const machine = new ReceiveMachine(
    {
      keys,
      codec: createCodec(),
      sha256,
      spool,
      onEvent: (event) => {
        if (event.type === 'session') heard.sessions.push(event.tsi);
        if (event.type === 'heartbeat') heard.heartbeats += 1;
      },
    },
    DEFAULT_LIMITS,
    0,
  );
  return { machine, heard };
}

function compare(recorded: Comparison, then: Verdict | undefined, now: Verdict): void {
  if (then === undefined) recorded.unrecorded += 1;
  else if (then === now) recorded.same += 1;
  else recorded.differing += 1;
  if (wasAuthentic(then) && (now === 'bad-tag' || now === 'unknown-asid')) recorded.unheld += 1;
}
