import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnvelope, parseReceipt } from '@sluice/bundle';
import { type BundleRecord, type ChainCheck, ReceiverLedger } from '@sluice/ledger';
import { logNumber } from '@sluice/pcapng';
import { jsonText } from '@sluice/ports';
import { INDEX_NAME, readIndex } from '@sluice/receiver';
import { loadSigner } from '@sluice/trust';
import { parseArguments, RefusedError, required, UsageError } from '../arguments.ts';
import { say, sayJson } from '../say.ts';
import { optionsOf } from '../table.ts';
import { CaseArchive } from './archive.ts';
import { bundleOf } from './find.ts';
import { sliceLogs } from './slice.ts';
import { anchorsOf, signaturesOf, statementsOf } from './statements.ts';

/** Log before the first sign of a bundle, and behind its last, that belongs to its case. */
const AROUND_MS = 60_000;
/** No slice is longer: a case is carried and mailed. */
const SLICE_BYTES = 256 * 2 ** 20;

/** `sluice case BUNDLE`: all that is known of a bundle in one signed archive. */
export async function caseFile(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('case'));
  const [name] = positionals;
  if (name === undefined || positionals.length > 1)
    throw new UsageError('case takes one bundle: its id, its number, or CHANNEL/NUMBER');
  const signer = loadSigner(readFileSync(required(values.key, 'key'), 'utf8'));
  const out = required(values.out, 'out');
  const archive = new CaseArchive(out);
  try {
    const { bundle, chain } = ReceiverLedger.read(values.ledger, (ledger) => {
      const found = bundleOf(ledger, name);
      if (found === undefined) throw new RefusedError(`the ledger has no bundle "${name}"`);
      addRecords(archive, ledger, found);
      addStatements(archive, ledger, found, values);
      addReceipt(archive, ledger, found);
      return { bundle: found, chain: ledger.events.verify() };
    });
    const logs = values['no-logs'] === true ? undefined : await addLogs(archive, bundle, values.chunks);
    const members = archive.finish(signer, { bundle: bundle.id, ledger: chain, logs });
    const made = { out, bundle: bundle.id, members, keyid: signer.keyid, ledger: chain, logs };
    if (values.json === true) sayJson(JSON.stringify(made));
    else say(...inWords(made));
    return chain.ok ? 0 : 1;
  } catch (error) {
    rmSync(out, { force: true });
    throw error;
  }
}

/** The log slice, or why there is none. */
type CaseLogs = Awaited<ReturnType<typeof addLogs>>;

interface Made {
  readonly out: string;
  readonly bundle: string;
  readonly members: number;
  readonly keyid: string;
  readonly ledger: ChainCheck;
  readonly logs: CaseLogs | undefined;
}

function inWords({ out, bundle, members, keyid, ledger, logs }: Made): string[] {
  return [
    `${out}: ${String(members)} members about bundle ${bundle}, signed by ${keyid}`,
    ...(logs === undefined ? [] : [sliceWords(logs)]),
    ...(ledger.ok ? [] : [`problem: the chain of the ledger breaks at entry ${String(ledger.firstBad)}`]),
  ];
}

function sliceWords(logs: CaseLogs): string {
  if ('why' in logs) return `no slice of the chunk log: ${logs.why}`;
  const { from, to, datagrams, isCut } = logs;
  const much = isCut
    ? `${String(datagrams)} datagrams, and was cut at ${String(SLICE_BYTES)} bytes`
    : `${String(datagrams)} datagrams`;
  return `the slice of the chunk log, ${from} to ${to}, has ${much}`;
}

function addRecords(archive: CaseArchive, ledger: ReceiverLedger, bundle: BundleRecord): void {
  const { name, detail, ...record } = bundle;
  archive.addJson('bundle.json', { ...record, name: jsonText(name), detail: jsonText(detail) });
  const subjects = [bundle.id, `${bundle.channel}/${String(bundle.sequence)}`];
  const entries = subjects.flatMap((subject) => ledger.events.about(subject)).toSorted((a, b) => a.seq - b.seq);
  archive.addJson('ledger.json', entries);
  for (const kind of ['config', 'trust', 'policy']) {
    for (const { digest, text } of ledger.archive.all(kind))
      archive.add(`context/${kind}-${digest.slice(7, 23)}.json`, text);
  }
}

function addStatements(
  archive: CaseArchive,
  ledger: ReceiverLedger,
  bundle: BundleRecord,
  places: { readonly store: string; readonly quarantine: string },
): void {
  const anchors = anchorsOf(ledger);
  const statements = statementsOf(bundle, places);
  for (const { name, bytes } of statements) archive.add(`statements/${name}.dsse.json`, bytes);
  const reason = join(places.quarantine, bundle.id.slice(7), 'reason.json');
  if (existsSync(reason)) archive.addFile('quarantine/reason.json', reason);
  archive.addJson('verification.json', {
    statements: statements.map(({ name, digest, isWhole, bytes }) => ({
      ...{ name, digest, isWhole },
      signatures: signaturesOf(bytes, anchors),
    })),
    missing: ['transport', 'release'].filter((name) => !statements.some((found) => found.name === name)),
    outcome: { state: bundle.state, code: bundle.code },
  });
}

function addReceipt(archive: CaseArchive, ledger: ReceiverLedger, { id }: BundleRecord): void {
  const envelope = ledger.receipt(id);
  if (envelope === undefined) return;
  archive.add('receipt.dsse.json', envelope);
  const parsed = parseEnvelope(envelope);
  const receipt = parsed.ok ? parseReceipt(parsed.value.payload) : undefined;
  archive.addJson('receipt.json', {
    signatures: signaturesOf(envelope, anchorsOf(ledger)),
    ...(receipt?.ok === true ? { receipt: receipt.value } : {}),
  });
}

async function addLogs(archive: CaseArchive, { firstSeen, changed }: BundleRecord, directory: string) {
  if (!existsSync(directory)) return { why: 'there is no directory of chunk logs' };
  const [from, to] = [firstSeen - AROUND_MS, changed + AROUND_MS];
  const { records } = readIndex(directory);
  // What the index knows to be of another time is not read.
  const outside = new Set(
    records.flatMap((each) => (each.action === 'closed' && (each.to < from || each.from > to) ? [each.name] : [])),
  );
  const names = readdirSync(directory).filter((file) => logNumber(file) !== undefined && !outside.has(file));
  const work = mkdtempSync(join(tmpdir(), 'sluice-case-'));
  try {
    const slice = join(work, 'slice.pcapng');
    const paths = names
      .toSorted((a, b) => (logNumber(a) ?? 0) - (logNumber(b) ?? 0))
      .map((file) => join(directory, file));
    const cut = await sliceLogs(paths, { from, to, bytes: SLICE_BYTES }, slice);
    archive.addFile('logs/slice.pcapng', slice);
    if (existsSync(join(directory, INDEX_NAME))) archive.addFile(`logs/${INDEX_NAME}`, join(directory, INDEX_NAME));
    return { from: new Date(from).toISOString(), to: new Date(to).toISOString(), ...cut };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
