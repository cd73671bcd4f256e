import { type Digest, ok, refuse, type Result, type Sha256 } from '@sluice/ports';
import { approversOf, checkApproval, countingSigner, rolesOf, standingOf } from './approval.ts';
import { type Envelope, parseEnvelope, preAuthEncoding } from './dsse.ts';
import { type History, parseHistory } from './history.ts';
import { checkPolicy, type ChannelPolicy } from './policy.ts';
import { type Artifact, type ArtifactType, parseRelease, type ReleaseStatement, targetName } from './release.ts';
import { parseTransport, type TransportStatement } from './transport.ts';

/** A public key that signatures are checked with. */
export interface Verifier {
  /** Lower-case hex SHA-256 of the key as DER SubjectPublicKeyInfo. */
  readonly keyid: string;
  readonly algorithm: 'Ed25519' | 'ECDSA-P256' | 'ECDSA-P384';
  /** True when `signature` over `message` (the PAE) holds. Never throws. */
  verify(message: Uint8Array, signature: Uint8Array): boolean;
}

export interface VerifyContext {
  readonly policy: ChannelPolicy;
  /** Known public keys by key id. A key that is not here signs nothing. */
  readonly verifiers: ReadonlyMap<string, Verifier>;
  readonly sha256: Sha256;
}

declare const verified: unique symbol;

/** A transport statement whose envelope, signature and channel hold. Only `verifyTransport` makes one. */
export interface VerifiedTransport {
  readonly [verified]: 'transport';
  /** The bundle's id: digest of the envelope's bytes. */
  readonly id: Digest;
  readonly envelope: Uint8Array;
  readonly statement: TransportStatement;
  /** Key that signed. */
  readonly signer: string;
}

/** A release whose envelope, signatures and form hold, and that the policy lets in. Only `verifyRelease` makes one. */
export interface VerifiedRelease {
  readonly [verified]: 'release';
  readonly digest: Digest;
  /** Of what was signed. One statement has many envelopes: who has no key can write its JSON otherwise, or add a signature of nobody. */
  readonly content: Digest;
  readonly envelope: Uint8Array;
  readonly statement: ReleaseStatement;
  /** Different release keys that signed. */
  readonly signers: readonly string[];
}

const digestOf = (bytes: Uint8Array, sha256: Sha256): Digest =>
  `sha256:${[...sha256(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;

/** The allowed keys that signed, each once, or why there are none. */
function signers(
  envelope: Envelope,
  allowed: readonly string[],
  { verifiers }: VerifyContext,
): Result<readonly string[]> {
  const message = preAuthEncoding(envelope.payload);
  const holding = new Set<string>();
  let failed = false;
  for (const { keyid, sig } of envelope.signatures) {
    const verifier = allowed.includes(keyid) ? verifiers.get(keyid) : undefined;
    if (verifier === undefined || holding.has(keyid)) continue;
    if (verifier.verify(message, sig)) holding.add(keyid);
    else failed = true;
  }
  if (holding.size > 0) return ok([...holding]);
  if (failed) return refuse('signature-invalid', 'a signature by a known key does not hold');
  return refuse('signer-unknown', 'no signature is by a key that the channel allows');
}

/** B-7, first part: envelope form, transport signature by a transport key of the channel, statement form, channel name. */
export function verifyTransport(bytes: Uint8Array, context: VerifyContext): Result<VerifiedTransport> {
  const envelope = parseEnvelope(bytes);
  if (!envelope.ok) return envelope;
  const signed = signers(envelope.value, context.policy.transportKeys, context);
  if (!signed.ok) return signed;
  const statement = parseTransport(envelope.value.payload);
  if (!statement.ok) return statement;
  if (statement.value.channel !== context.policy.channel) {
    return refuse(
      'channel-mismatch',
      `the statement is for channel ${statement.value.channel} but came by ${context.policy.channel}`,
    );
  }
  const signer = countingSigner(context.policy, signed.value, statement.value.sequence);
  if (!signer.ok) return signer;
  const id = digestOf(bytes, context.sha256);
  const made = { id, envelope: bytes, statement: statement.value, signer: signer.value };
  return ok(made as unknown as VerifiedTransport);
}

/** H-3: envelope form, signature by a transport key of the channel, form, channel name. */
export function verifyHistory(bytes: Uint8Array, context: VerifyContext): Result<History> {
  const envelope = parseEnvelope(bytes);
  if (!envelope.ok) return envelope;
  const signed = signers(envelope.value, context.policy.transportKeys, context);
  if (!signed.ok) return signed;
  const history = parseHistory(envelope.value.payload);
  if (!history.ok) return history;
  if (history.value.channel !== context.policy.channel) {
    return refuse(
      'channel-mismatch',
      `the history is of channel ${history.value.channel} but came by ${context.policy.channel}`,
    );
  }
  const newest = history.value.bundles.at(-1)?.sequence ?? 0;
  // A key that signs from the next bundle on tells of the last one already.
  const told = signed.value.filter((key) => standingOf(context.policy, key, newest + 1) === 'counts');
  const signer = told.length > 0 ? ok('') : countingSigner(context.policy, signed.value, newest);
  return signer.ok ? history : signer;
}

/** What the ledger knows of a channel. */
export interface ChainState {
  /** The bundle that took a sequence number, if it is known. */
  takenBy(sequence: number): Digest | undefined;
  /** The bundle of a number by the word of the one after it, if that has come. */
  namedBy?(sequence: number): Digest | undefined;
}

/**
 * B-8: `seen` when this very bundle has its place already. Refuses `sequence-repeated` and `chain-mismatch`; a gap before
 * it is no refusal. Where the one after it has come, a number is for the bundle that it names alone: a key that counts no more for what is sent now could
 * take a number that was left out.
 */
export function checkChain({ id, statement }: VerifiedTransport, chain: ChainState): Result<'new' | 'seen'> {
  const taken = chain.takenBy(statement.sequence);
  if (taken === id) return ok('seen');
  if (taken !== undefined) {
    return refuse(
      'sequence-repeated',
      `sequence ${String(statement.sequence)} was taken by another statement, ${taken}`,
    );
  }
  const before = statement.sequence === 1 ? undefined : chain.takenBy(statement.sequence - 1);
  if (before !== undefined && before !== statement.previous) {
    return refuse(
      'chain-mismatch',
      `the statement names ${String(statement.previous)} as the one before, the ledger ${before}`,
    );
  }
  const named = chain.namedBy?.(statement.sequence);
  if (named !== undefined && named !== id) {
    return refuse(
      'chain-mismatch',
      `the statement after it names ${named} as number ${String(statement.sequence)}, and this one is ${id}`,
    );
  }
  return ok('new');
}

export interface ReleaseContext extends VerifyContext {
  /** Last version accepted of this type and target, in this channel. */
  readonly versionOf: (type: ArtifactType, target: string) => number | undefined;
}

/**
 * B-7, second part: digest and size against the transport statement, signatures against the policy (a transport key
 * never counts), form, policy, versions.
 */
export function verifyRelease(
  bytes: Uint8Array,
  transport: VerifiedTransport,
  context: ReleaseContext,
): Result<VerifiedRelease> {
  const { policy } = context;
  const { release } = transport.statement;
  const digest = digestOf(bytes, context.sha256);
  if (digest !== release.digest || bytes.length !== release.size) {
    return refuse('release-mismatch', `the release is ${digest}, the transport statement names ${release.digest}`);
  }
  const envelope = parseEnvelope(bytes);
  if (!envelope.ok) return envelope;
  const free = rolesOf(policy).every(({ signatures }) => signatures === 0);
  const signed = free ? ok([]) : signers(envelope.value, approversOf(policy), context);
  if (!signed.ok) return signed;
  const approved = checkApproval(policy, signed.value, transport.statement.sequence);
  if (!approved.ok) return approved;
  const statement = parseRelease(envelope.value.payload);
  if (!statement.ok) return statement;
  const allowed = checkPolicy(statement.value, policy);
  if (!allowed.ok) return allowed;
  const fresh = checkVersions(statement.value, context);
  if (!fresh.ok) return fresh;
  const content = digestOf(envelope.value.payload, context.sha256);
  const made = { digest, content, envelope: bytes, statement: statement.value, signers: approved.value };
  return ok(made as unknown as VerifiedRelease);
}

/** B-17: the signatures of a bundle whose statements held, by the policy of now: a key may have been revoked since. */
export function checkStanding(
  policy: ChannelPolicy,
  {
    sequence,
    signer,
    approvers,
  }: { readonly sequence: number; readonly signer: string | undefined; readonly approvers: readonly string[] },
): Result<undefined> {
  const sent = signer === undefined ? undefined : countingSigner(policy, [signer], sequence);
  if (sent?.ok === false) return sent;
  const approved = checkApproval(policy, approvers, sequence);
  return approved.ok ? ok(undefined) : approved;
}

/** B-9 once more: versions that were new when the release was judged may have been overtaken since. */
export function checkVersions(
  release: { readonly artifacts: readonly Pick<Artifact, 'name' | 'type' | 'target' | 'version'>[] },
  { versionOf }: Pick<ReleaseContext, 'versionOf'>,
): Result<undefined> {
  for (const { name, type, target, version } of release.artifacts) {
    if (version === undefined) continue;
    const last = versionOf(type, targetName(target));
    if (last !== undefined && version <= last) {
      return refuse(
        'version-not-newer',
        `artifact ${name} has version ${String(version)}, and ${String(last)} was accepted before`,
      );
    }
  }
  return ok(undefined);
}
