import { readFileSync } from 'node:fs';
import { encodeRelease, parseEnvelope, parseRelease, preAuthEncoding } from '@sluice/bundle';
import type { Refusal } from '@sluice/ports';
import { composeRelease } from '@sluice/sources';
import { addSignature, loadSigner, loadVerifier, sha256Digest } from '@sluice/trust';
import { parseArguments, RefusedError, required, UsageError } from './arguments.ts';
import { printed } from './control.ts';
import { note, say } from './say.ts';
import { optionsOf } from './table.ts';

const refused = ({ code, detail }: Refusal): RefusedError => new RefusedError(`${detail} (${code})`);

/** `sluice release create|sign|verify`: from files alone, on any machine. */
export async function release([what, ...args]: readonly string[]): Promise<number> {
  if (what === 'create') return create(args);
  if (what === 'sign') return sign(args);
  if (what === 'verify') return verify(args);
  throw new UsageError('release takes "create", "sign" or "verify"');
}

async function create(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('release create'));
  const { repository: repositories = [], 'approved-by': approvedBy = [] } = values;
  if (positionals.length === 0) throw new UsageError('release create takes the paths of images and files');
  const composed = await composeRelease(positionals, {
    name: required(values.name, 'name'),
    approvedBy,
    version: versionIn(values['release-version']),
    repositoryOf: ({ path, name }) => repositoryFor(path, repositories) ?? name.repository,
  });
  if (!composed.ok) throw refused(composed.error);
  for (const each of composed.value.notes) note(each);
  const { statement } = composed.value;
  process.stdout.write(`${Buffer.from(encodeRelease(statement.predicate)).toString('utf8')}\n`);
  return 0;
}

/** `now` is the time in Unix seconds: what is approved later is newer. */
function versionIn(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const version = text === 'now' ? Math.floor(Date.now() / 1000) : Number(text);
  if (!Number.isSafeInteger(version) || version < 1)
    throw new UsageError('--release-version is a number above 0, or "now"');
  return version;
}

/** `--repository REPO` for all images, `--repository PATH=REPO` for those of one path; the latter wins. */
function repositoryFor(path: string, given: readonly string[]): string | undefined {
  const named = given.find((entry) => entry.startsWith(`${path}=`));
  return named === undefined ? given.find((entry) => !entry.includes('=')) : named.slice(path.length + 1);
}

/** A statement, or an envelope that has signatures already. */
function readUnsigned(path: string): {
  readonly payload: Uint8Array;
  readonly signatures: readonly { readonly keyid: string; readonly sig: Uint8Array }[];
} {
  const bytes = readFileSync(path);
  const envelope = parseEnvelope(bytes);
  const statement = parseRelease(envelope.ok ? envelope.value.payload : bytes);
  // Nobody approves what is no release, whatever it is signed by already.
  if (!statement.ok) throw refused(statement.error);
  return envelope.ok ? envelope.value : { payload: encodeRelease(statement.value), signatures: [] };
}

function sign(args: readonly string[]): number {
  const { values, positionals } = parseArguments(args, optionsOf('release sign'));
  const [path] = positionals;
  if (path === undefined || positionals.length > 1)
    throw new UsageError('release sign takes one statement or envelope');
  const signer = loadSigner(readFileSync(required(values.key, 'key'), 'utf8'));
  process.stdout.write(addSignature(readUnsigned(path), signer));
  return 0;
}

function verify(args: readonly string[]): number {
  const { values, positionals } = parseArguments(args, optionsOf('release verify'));
  const [path] = positionals;
  if (path === undefined || positionals.length > 1) throw new UsageError('release verify takes one envelope');
  const { key: files = [] } = values;
  if (files.length === 0) throw new UsageError('--key is missing: name the public keys that may approve');
  const bytes = readFileSync(path);
  const envelope = parseEnvelope(bytes);
  if (!envelope.ok) throw refused(envelope.error);
  const statement = parseRelease(envelope.value.payload);
  if (!statement.ok) throw refused(statement.error);
  const message = preAuthEncoding(envelope.value.payload);
  const verifiers = files.map((file) => loadVerifier(readFileSync(file, 'utf8')));
  const holding = verifiers.filter((verifier) =>
    envelope.value.signatures.some(
      (signature) => signature.keyid === verifier.keyid && verifier.verify(message, signature.sig),
    ),
  );
  const status = holding.length === verifiers.length ? 0 : 1;
  if (values.json === true) {
    const keys = verifiers.map((each) => ({ id: each.keyid, signed: holding.includes(each) }));
    printed({ ...statement.value, digest: sha256Digest(bytes), keys });
    return status;
  }
  for (const { keyid } of verifiers) {
    say(`${keyid} ${holding.some((each) => each.keyid === keyid) ? 'signed' : 'did not sign'}`);
  }
  for (const { name, type, digest } of statement.value.artifacts) say(`${type} ${name} ${digest}`);
  // By this name the policy knows a canary, and the ledger every bundle of it.
  say(`release ${statement.value.name} ${sha256Digest(bytes)}`);
  return status;
}
