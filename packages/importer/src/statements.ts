import {
  checkStanding,
  ENVELOPE_BYTES,
  parseEnvelope,
  parseTransport,
  type VerifiedRelease,
  type VerifiedTransport,
  type VerifyContext,
  verifyRelease,
  verifyTransport,
} from '@sluice/bundle';
import { type BundleCode, type Digest, OperationalError, refuse, type Result } from '@sluice/ports';
import type { ImportStore } from './unreadable.ts';

/** The importer's own anchors, by channel. */
export interface Trust {
  readonly get: (channel: string) => VerifyContext | undefined;
}

export interface Statements {
  readonly transport: VerifiedTransport;
  readonly release: VerifiedRelease;
}

/** Why a bundle is refused; `transport` is there once the sender's signature held, and then the receipt can name the bundle's place. */
export interface RefusedStatements {
  readonly code: BundleCode | 'statement-missing';
  readonly detail: string;
  readonly transport?: VerifiedTransport;
}

/** Reads an envelope; undefined when the store has none. */
async function readEnvelope(store: ImportStore, digest: Digest): Promise<Result<Uint8Array> | undefined> {
  try {
    return { ok: true, value: await store.readVerified(digest, ENVELOPE_BYTES) };
  } catch (error) {
    if (!(error instanceof OperationalError)) throw error;
    if (error.code === 'store-missing') return undefined;
    if (error.code === 'store-digest-mismatch')
      return refuse('digest-mismatch', `the store holds other bytes under ${digest}`);
    if (error.code === 'store-too-large')
      return refuse('statement-too-large', `${digest} is too large for a statement`);
    throw error;
  }
}

/**
 * Fetches the two statements of a bundle and verifies them with the importer's own anchors (PROTOCOL.md B-7; sequence and chain are
 * the receiver's to judge). A job id that names no bundle of ours ends here. Throws OperationalError when the store fails.
 */
export async function readStatements(
  store: ImportStore,
  trust: Trust,
  bundle: Digest,
): Promise<Result<Statements, RefusedStatements>> {
  const bytes = await readEnvelope(store, bundle);
  if (bytes === undefined) {
    return { ok: false, error: { code: 'statement-missing', detail: `the store has no statement ${bundle}` } };
  }
  if (!bytes.ok) return bytes;
  const transport = openTransport(bytes.value, trust);
  if (!transport.ok) return transport;
  const refused = (error: {
    readonly code: BundleCode;
    readonly detail: string;
  }): Result<never, RefusedStatements> => ({
    ok: false,
    error: { ...error, transport: transport.value },
  });
  const context = trust.get(transport.value.statement.channel);
  if (context === undefined) throw new Error('a statement was verified without a policy');
  const { digest } = transport.value.statement.release;
  const releaseBytes = await readEnvelope(store, digest);
  if (releaseBytes === undefined)
    return refused({ code: 'release-missing', detail: `the store has no release ${digest}` });
  if (!releaseBytes.ok) return refused(releaseBytes.error);
  // Versions were held against the last accepted ones by the receiver; a job may come here many times.
  const release = verifyRelease(releaseBytes.value, transport.value, { ...context, versionOf: () => undefined });
  if (!release.ok) return refused(release.error);
  return { ok: true, value: { transport: transport.value, release: release.value } };
}

/** B-17 once more: a key may have been revoked while the contents went over. */
export function stillStand(trust: Trust, { transport, release }: Statements): Result<undefined> {
  const { channel, sequence } = transport.statement;
  const context = trust.get(channel);
  if (context === undefined) throw new Error('a statement was verified without a policy');
  return checkStanding(context.policy, { sequence, signer: transport.signer, approvers: release.signers });
}

/** The channel's name, not yet trusted, only picks the policy by which the statement is then verified. */
function openTransport(bytes: Uint8Array, trust: Trust): Result<VerifiedTransport> {
  const envelope = parseEnvelope(bytes);
  if (!envelope.ok) return envelope;
  const statement = parseTransport(envelope.value.payload);
  if (!statement.ok) return statement;
  const context = trust.get(statement.value.channel);
  if (context === undefined)
    return refuse('channel-mismatch', 'the statement is for a channel that is not configured here');
  return verifyTransport(bytes, context);
}
