import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { backup as copyDatabase, DatabaseSync } from 'node:sqlite';
import { loadSigner } from '@sluice/trust';
import { parseArguments, required, UsageError } from './arguments.ts';
import {
  BACKUP_SIDES,
  type BackupFile,
  type BackupKind,
  type BackupSide,
  described,
  type Manifest,
  refused,
  syncPath,
  taken,
} from './backup-files.ts';
import { keysDirectory, loadAsDaemon } from './credentials.ts';
import { say } from './say.ts';
import { optionsOf } from './table.ts';

/** What a backup must know of a daemon's configuration. */
export interface SideConfig {
  readonly side: BackupSide;
  readonly file: string;
  readonly stateDirectory: string;
  readonly channels: readonly string[];
  readonly checkpointKey: string | undefined;
  /** Configuration of link, on the side that has one. */
  readonly link: { readonly file: string; readonly stateDirectory: string } | undefined;
}

/** More than a database can have. */
const ALL_PAGES = 2 ** 31 - 1;

/** Files in which link remembers the highest session, and which keys count no more. */
export const LINK_FILES = ['highest-live-tsi', 'ended-keys'] as const;

/** Reads the configuration of a side. @throws UsageError, OperationalError of the configuration */
export async function sideConfig(side: string | undefined, file: string, linkFile?: string): Promise<SideConfig> {
  const namesOf = (channels: readonly { readonly name: string }[]): string[] => channels.map(({ name }) => name);
  switch (BACKUP_SIDES.find((known) => known === side)) {
    case 'sender': {
      const { senderConfig } = await import('@sluice/sender');
      const { stateDirectory, channels, ledger } = loadAsDaemon(file, 'sender', senderConfig);
      const checkpointKey = ledger.checkpointKeyFile?.text();
      return { side: 'sender', file, stateDirectory, channels: namesOf(channels), checkpointKey, link: undefined };
    }
    case 'receiver': {
      const { receiverConfig } = await import('@sluice/receiver');
      const { stateDirectory, channels, ledger, link } = loadAsDaemon(file, 'receiver', receiverConfig);
      const checkpointKey = ledger.checkpointKeyFile?.text();
      const own = await linkOf(linkFile ?? link?.config);
      return { side: 'receiver', file, stateDirectory, channels: namesOf(channels), checkpointKey, link: own };
    }
    case 'importer': {
      const { importerConfig } = await import('@sluice/importer');
      const { stateDirectory, channels, ledger } = loadAsDaemon(file, 'importer', importerConfig);
      const checkpointKey = ledger.checkpointKeyFile?.text();
      return { side: 'importer', file, stateDirectory, channels: namesOf(channels), checkpointKey, link: undefined };
    }
    default:
      throw new UsageError('name sender, receiver or importer');
  }
}

async function linkOf(file: string | undefined): Promise<SideConfig['link']> {
  if (file === undefined) return undefined;
  const { linkConfig } = await import('@sluice/link');
  return { file, stateDirectory: loadAsDaemon(file, 'link', linkConfig).stateDirectory };
}

/** `sluice backup SIDE --config FILE [--link FILE] [--with-keys] DIR`: while the daemon runs. */
export async function backup(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('backup'));
  const [side, directory, ...more] = positionals;
  if (directory === undefined || more.length > 0)
    throw new UsageError('backup takes sender, receiver or importer, and a directory');
  const config = await sideConfig(
    side,
    resolve(required(values.config, 'config')),
    values.link && resolve(values.link),
  );
  const ledger = join(config.stateDirectory, 'ledger.sqlite');
  if (!existsSync(ledger)) throw refused(`there is no ledger at ${ledger}: nothing to back up`);
  mkdirSync(directory, { mode: 0o700 });
  const files = [await ledgerCopy(ledger, directory), ...copies(config, directory, values['with-keys'] === true)];
  const { verifyLedger } = await import('@sluice/ledger');
  const { schema, last, head, faults } = verifyLedger(join(directory, 'ledger.sqlite'));
  const manifest: Manifest = {
    ...{ v: 1, side: config.side, created: Date.now(), schema, entries: last, head },
    ...{ channels: config.channels, files },
  };
  const text = `${JSON.stringify(manifest, undefined, 2)}\n`;
  writeDurably(directory, 'manifest.json', text);
  if (config.checkpointKey !== undefined) signManifest(directory, text, config.checkpointKey);
  syncPath(directory);
  const digest = described(directory, 'manifest.json', 'config', '/').sha256;
  say(
    `${String(files.length)} files in ${directory}`,
    `manifest ${digest}`,
    `ledger head ${head} after ${String(last)} entries`,
  );
  if (faults.length === 0) return 0;
  say('the ledger does not hold: see sluice ledger verify');
  return 1;
}

/** As it is at one moment, while others write to it. */
async function ledgerCopy(ledger: string, directory: string): Promise<BackupFile> {
  const to = join(directory, 'ledger.sqlite');
  const source = new DatabaseSync(ledger, { readOnly: true, timeout: 5000 });
  try {
    // In one step: between two of them a change by the daemon begins the copy anew, and one that writes each second never let it end.
    await copyDatabase(source, to, { rate: ALL_PAGES });
  } finally {
    source.close();
  }
  // One file, without a log of its own beside it.
  const copy = new DatabaseSync(to);
  copy.exec('PRAGMA journal_mode = DELETE');
  copy.close();
  syncPath(to);
  return described(directory, 'ledger.sqlite', 'ledger', ledger);
}

/** Configuration, public keys, link's session; keys and passwords only when they are asked for. */
function copies({ side, file, link }: SideConfig, directory: string, withKeys: boolean): BackupFile[] {
  const configs = [
    { daemon: side as string, file },
    ...(link === undefined ? [] : [{ daemon: 'link', file: link.file }]),
  ];
  const named = configs.flatMap((each) => [
    { kind: 'config' as const, from: each.file },
    ...filesNamedIn(each.file, each.daemon),
  ]);
  const lacking = withKeys ? named.find(({ from }) => !existsSync(from)) : undefined;
  if (lacking !== undefined)
    throw refused(`there is no ${lacking.from}, which the configuration names: the backup would not be whole`);
  const session =
    link === undefined
      ? []
      : LINK_FILES.map((name) => ({ kind: 'session' as const, from: join(link.stateDirectory, name) }));
  const wanted = [...named, ...session].filter(({ kind, from }) => (withKeys || kind !== 'key') && existsSync(from));
  const unique = new Map(wanted.map((each) => [each.from, each]));
  return [...unique.values()].map(({ kind, from }, i) => taken(directory, from, kind, i));
}

const CREDENTIAL = '${CREDENTIALS_DIRECTORY}/key_';

/** Files that a configuration names: by the ends of its keys, secrets and public ones. Those that systemd hands over are taken from where it has them. */
function filesNamedIn(file: string, daemon: string): { readonly kind: BackupKind; readonly from: string }[] {
  const found: { kind: BackupKind; from: string }[] = [];
  const walk = (value: unknown, key: string): void => {
    if (Array.isArray(value)) for (const item of value) walk(item, key);
    else if (typeof value === 'object' && value !== null)
      for (const [name, item] of Object.entries(value)) walk(item, name);
    else if (typeof value === 'string' && /Files?$/.test(key)) {
      const isPublic = /KeyFiles$|^caFile$|^certFile$|^clientCaFile$/.test(key);
      const from = value.startsWith(CREDENTIAL)
        ? resolve(keysDirectory(file, daemon), value.slice(CREDENTIAL.length))
        : resolve(file, '..', value);
      found.push({ kind: isPublic ? 'trust' : 'key', from });
    }
  };
  walk(JSON.parse(readFileSync(file, 'utf8')), '');
  return found;
}

/** `manifest.sig`: key id and signature of the manifest's bytes, by the key of the ledger's checkpoints. */
function signManifest(directory: string, text: string, pem: string): void {
  const signer = loadSigner(pem);
  const signature = Buffer.from(signer.sign(Buffer.from(text))).toString('base64');
  writeDurably(directory, 'manifest.sig', `${JSON.stringify({ keyid: signer.keyid, signature })}\n`);
}

function writeDurably(directory: string, name: string, text: string): void {
  writeFileSync(join(directory, name), text, { flag: 'wx', mode: 0o600 });
  syncPath(join(directory, name));
}
