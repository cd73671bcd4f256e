import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, type Secret } from '@sluice/base';
import type { LedgerReport } from '@sluice/ledger';
import type { StoreReport } from '@sluice/receiver';
import { loadVerifier, type PublicKey } from '@sluice/trust';
import { parseArguments, required, UsageError } from './arguments.ts';
import { loadAsDaemon } from './credentials.ts';
import { say, sayJson } from './say.ts';
import { optionsOf } from './table.ts';

/** Whose ledger is looked at. */
export interface LedgerPlace {
  readonly ledger: string;
  readonly checkpointKeyFile: Secret | undefined;
  /** Holds the bundles against the store; undefined for a ledger that has none. */
  readonly audit: ((deep: boolean) => Promise<StoreReport>) | undefined;
}

/** The public half of the key that signs a ledger's checkpoints. */
const publicOf = (secret: Secret): PublicKey =>
  loadVerifier(createPublicKey(secret.text()).export({ type: 'spki', format: 'pem' }));

async function placeOf(daemon: string | undefined, file: string): Promise<LedgerPlace> {
  switch (daemon) {
    case 'sender': {
      const { senderConfig, auditStaging } = await import('@sluice/sender');
      const { stateDirectory, ledger } = loadAsDaemon(file, 'sender', senderConfig);
      const path = join(stateDirectory, 'ledger.sqlite');
      const audit = (deep: boolean): Promise<StoreReport> => auditStaging(path, join(stateDirectory, 'store'), deep);
      return { ledger: path, checkpointKeyFile: ledger.checkpointKeyFile, audit };
    }
    case 'receiver': {
      const { receiverConfig, auditReceiver } = await import('@sluice/receiver');
      const config = loadAsDaemon(file, 'receiver', receiverConfig);
      const path = join(config.stateDirectory, 'ledger.sqlite');
      const audit = (deep: boolean): Promise<StoreReport> => auditReceiver(path, config, deep);
      return { ledger: path, checkpointKeyFile: config.ledger.checkpointKeyFile, audit };
    }
    case 'importer': {
      const { importerConfig } = await import('@sluice/importer');
      const { stateDirectory, ledger } = loadAsDaemon(file, 'importer', importerConfig);
      const path = join(stateDirectory, 'ledger.sqlite');
      return { ledger: path, checkpointKeyFile: ledger.checkpointKeyFile, audit: undefined };
    }
    default:
      throw new UsageError('ledger verify takes sender, receiver or importer with --config, or --ledger FILE');
  }
}

/** `sluice ledger verify`: the chain, its checkpoints, the bundles, and on demand the store. Changes nothing, and needs no daemon to stop. */
export async function ledger([what, ...args]: readonly string[]): Promise<number> {
  if (what !== 'verify') throw new UsageError('ledger takes "verify"');
  const { values, positionals } = parseArguments(args, optionsOf('ledger verify'));
  const { key = [], store: named = false, deep = false } = values;
  if (positionals.length > 1) throw new UsageError('ledger verify takes one daemon');
  const place: LedgerPlace =
    values.ledger === undefined
      ? await placeOf(positionals[0], required(values.config, 'config'))
      : { ledger: values.ledger, checkpointKeyFile: undefined, audit: undefined };
  const wantsStore = named || deep;
  if (wantsStore && place.audit === undefined)
    throw new UsageError('only a sender and a receiver have a store: name one with --config');
  const keys = key.map((file) => loadVerifier(readFileSync(file, 'utf8')));
  if (place.checkpointKeyFile !== undefined) keys.push(publicOf(place.checkpointKeyFile));
  const { verifyLedger } = await import('@sluice/ledger');
  const report = verifyLedger(place.ledger, keys);
  const store = wantsStore ? await place.audit?.(deep) : undefined;
  if (values.json === true) sayJson(JSON.stringify({ path: place.ledger, ...report, ...(store && { store }) }));
  else say(...inWords(place.ledger, report, store, deep));
  if (report.faults.length > 0) return EXIT.ledgerBroken;
  return store !== undefined && store.faults.length > 0 ? EXIT.storeLacks : EXIT.ok;
}

function inWords(path: string, report: LedgerReport, store: StoreReport | undefined, deep: boolean): string[] {
  const { role, schema, entries, last, head, checkpoints, signed, bundles, faults } = report;
  const first = last - entries + 1;
  const closed = first > 1 ? `, those before were let go under a checkpoint` : '';
  const [bad] = faults;
  return [
    `ledger       ${path} (${role}, schema ${String(schema)})`,
    `entries      ${entries === 0 ? 'none' : `${String(first)} to ${String(last)}${closed}`}`,
    `checkpoints  ${String(checkpoints)}${checkpoints === 0 ? '' : signed === 0 ? ', signatures not looked at (--key)' : ''}`,
    `bundles      ${String(bundles)}`,
    ...(store === undefined
      ? []
      : [
          `store        ${String(store.blobs)} blobs of ${String(store.bundles)} bundles, ${deep ? 'hashed' : 'looked for'}`,
        ]),
    ...(bad === undefined ? [`head         ${head}`] : faults.slice(0, 20).map(wordsOf)),
    ...(store?.faults ?? []).slice(0, 20).map(({ bundle, blob, why }) => `bad blob     ${blob} of ${bundle}: ${why}`),
    bad === undefined && (store?.faults.length ?? 0) === 0 ? 'all holds' : 'something does not hold',
  ];
}

const wordsOf = ({ what, entry, bundle, why }: LedgerReport['faults'][number]): string =>
  what === 'bundle'
    ? `bad bundle   ${bundle ?? ''}: ${why}`
    : `bad ${what === 'chain' ? 'entry   ' : 'checkpoint'} ${String(entry)}: ${why}`;
