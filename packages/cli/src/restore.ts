import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadVerifier } from '@sluice/trust';
import { parseArguments, required, UsageError } from './arguments.ts';
import { LINK_FILES, type SideConfig, sideConfig } from './backup.ts';
import {
  type BackupFile,
  damaged,
  type Manifest,
  ownAs,
  putBack,
  readManifest,
  refused,
  syncPath,
} from './backup-files.ts';
import { answered } from './control.ts';
import { say, sayJson, tell } from './say.ts';
import { optionsOf } from './table.ts';

/** 2020-01-01T00:00:00Z in Unix seconds: epochs of sessions count from here (docs/PROTOCOL.md S-1). */
const EPOCH_START = 1_577_836_800;

/** `sluice restore SIDE --config FILE [--link FILE] [--key PUBLIC-KEY] [--session-above N] DIR`: with the daemon stopped, and no ledger in its place. */
export async function restore(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('restore'));
  const [side, directory, ...more] = positionals;
  if (directory === undefined || more.length > 0)
    throw new UsageError('restore takes sender, receiver or importer, and the directory of a backup');
  const { manifest, sha256 } = readManifest(directory);
  if (manifest.side !== side) throw refused(`this is a backup of the ${manifest.side}, not of the ${side ?? ''}`);
  checkSignature(directory, values.key ?? []);
  const file = resolve(required(values.config, 'config'));
  const put = manifest.files.filter(({ kind }) => kind !== 'ledger' && kind !== 'session');
  const written = put.filter((each) => putBack(directory, each));
  const config = await sideConfig(side, file, values.link && resolve(values.link));
  const ledger = join(config.stateDirectory, 'ledger.sqlite');
  for (const there of [ledger, `${ledger}-wal`]) {
    if (existsSync(there))
      throw refused(`${there} is there: stop the ${side}, move its state directory away, and make it anew`);
  }
  const above = sessionAbove(manifest, values['session-above']);
  // Before the ledger: once that is there, nothing is restored any more.
  restoreSession(config, directory, manifest);
  await restoreLedger({ config, directory, manifest, sha256, above });
  for (const { from } of written) say(`written      ${from}`);
  for (const each of put)
    if (differs(directory, each)) say(`left alone   ${each.from}, which is another than in the backup`);
  say(`restored     ${ledger}, as it was on ${new Date(manifest.created).toISOString()}`);
  tell(...nextSteps(config));
  return 0;
}

const differs = (directory: string, { path, from }: BackupFile): boolean =>
  !readFileSync(from).equals(readFileSync(join(directory, path)));

function checkSignature(directory: string, keys: readonly string[]): void {
  if (keys.length === 0) return;
  const text = readFileSync(join(directory, 'manifest.json'));
  const path = join(directory, 'manifest.sig');
  if (!existsSync(path)) throw damaged('it has no manifest.sig');
  const { keyid, signature } = JSON.parse(readFileSync(path, 'utf8')) as { keyid?: unknown; signature?: unknown };
  const verifier = keys.map((each) => loadVerifier(readFileSync(each, 'utf8'))).find((each) => each.keyid === keyid);
  if (verifier === undefined) throw damaged('its manifest is signed by none of the keys named');
  if (typeof signature !== 'string' || !verifier.verify(text, Buffer.from(signature, 'base64')))
    throw damaged('the signature of its manifest does not hold');
}

/**
 * A session number above all that were used since the backup: none may come twice. Numbers follow the clock, so a clock that is right is enough; one that is
 * behind the backup cannot be.
 */
function sessionAbove({ side, created }: Manifest, given: string | undefined): number {
  if (side !== 'sender') return 0;
  if (given !== undefined) {
    if (!/^\d{1,10}$/.test(given) || Number(given) >= 2 ** 30)
      throw new UsageError('--session-above is the number of a session');
    return Number(given);
  }
  if (Date.now() >= created) return Math.floor(Date.now() / 1000) - EPOCH_START;
  throw refused(
    'the clock is behind that of the backup, so nobody can tell which sessions came since: set it right, or name the session of the receiver (link.session in its /v1/status) with --session-above',
  );
}

/** The highest session of link, without which it believes datagrams that somebody plays again, and the keys that it believes no more. */
function restoreSession({ link }: SideConfig, directory: string, { files }: Manifest): void {
  const ours = files.filter(({ kind }) => kind === 'session');
  if (ours.length === 0) return;
  if (link === undefined) throw refused("link's highest session is in this backup: name its configuration with --link");
  mkdirSync(link.stateDirectory, { recursive: true, mode: 0o700 });
  for (const file of ours) {
    const name = LINK_FILES.find((each) => file.from.endsWith(`/${each}`));
    if (name !== undefined) putBack(directory, { ...file, from: join(link.stateDirectory, name) });
  }
}

interface Restoring {
  readonly config: SideConfig;
  readonly directory: string;
  readonly manifest: Manifest;
  /** Of the manifest. */
  readonly sha256: string;
  readonly above: number;
}

/** Under another name first: what is in the ledger's place is whole, and knows that it was restored. */
async function restoreLedger({ config, directory, manifest, sha256, above }: Restoring): Promise<void> {
  const { stateDirectory, channels, side } = config;
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  const temporary = join(stateDirectory, 'ledger.restoring');
  for (const leftover of [temporary, `${temporary}-wal`, `${temporary}-shm`]) rmSync(leftover, { force: true });
  copyFileSync(join(directory, 'ledger.sqlite'), temporary);
  const { verifyLedger, ReceiverLedger, SenderLedger } = await import('@sluice/ledger');
  const { role, faults } = verifyLedger(temporary);
  const [fault] = faults;
  if (role !== side || fault !== undefined)
    throw damaged(fault === undefined ? `it holds a ledger of the ${role}` : `its ledger does not hold: ${fault.why}`);
  const body = { backup: sha256, created: manifest.created, entries: manifest.entries };
  if (side === 'sender') {
    const ledger = new SenderLedger(temporary);
    ledger.restored(channels, above, body);
    ledger.close();
  } else if (side === 'receiver') {
    const ledger = new ReceiverLedger(temporary);
    ledger.keeping.restored(channels, body);
    ledger.close();
  }
  ownAs(temporary, stateDirectory);
  syncPath(temporary);
  renameSync(temporary, join(stateDirectory, 'ledger.sqlite'));
  syncPath(stateDirectory);
}

function nextSteps({ side }: SideConfig): readonly string[] {
  switch (side) {
    case 'sender':
      return [
        'Start the sender. Sessions go on above all that were before. Inputs wait until you tell how far the numbers of each channel went:',
        "the receiver's page and /healthz (sender:numbers-CHANNEL) name the command, sluice restored CHANNEL SEQUENCE ID.",
      ];
    case 'receiver':
      return [
        'Start the receiver. Imports wait until all that came since the backup is here again (ledger:restored in /readyz): by a later pass, or by tickets.',
        'What cannot come any more: sluice caught-up --reason TEXT CHANNEL.',
      ];
    case 'importer':
      return ['Start the importer.'];
  }
}

/** `sluice restored CHANNEL NUMBER [ID]`: tells the sender how far the numbers of a channel went before it was restored. */
export async function restored(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('restored'));
  const [channel, sequence, head] = positionals;
  if (channel === undefined || sequence === undefined || !/^\d{1,15}$/.test(sequence) || positionals.length > 3)
    throw new UsageError('restored takes a channel, the last number that was given, and the id of its bundle');
  const { socket, reason } = values;
  const question = { channel, sequence: Number(sequence), ...(head && { head }), ...(reason && { reason }) };
  const now = await answered(socket, '/v1/restored', question);
  say(`The next bundle of channel ${channel} gets number ${String(Number(now.sequence) + 1)}.`);
  return 0;
}

/** `sluice caught-up CHANNEL`: imports of a channel go on, though not all came again that was there before the receiver was restored. */
export async function caughtUp(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('caught-up'));
  const [channel] = positionals;
  if (channel === undefined || positionals.length > 1) throw new UsageError('caught-up takes a channel');
  const now = await answered(values.socket, '/v1/caught-up', { channel, reason: required(values.reason, 'reason') });
  if (values.json === true) sayJson(JSON.stringify(now));
  else say(`Imports of channel ${channel} go on.`);
  return 0;
}
