import { LASTING_MS, type Logger, rateLimited } from '@sluice/base';
import { type ChainState, checkVersions } from '@sluice/bundle';
import type { ReceiverLedger } from '@sluice/ledger';
import { type BlobStore, type Digest, ok, type ReceiverToLink, type Refusal, type Result } from '@sluice/ports';
import type { Gate } from './gates.ts';
import type { SpooledObject } from './inventory.ts';
import type { Judge } from './judge/judge.ts';
import type { JudgedRelease } from './judge/messages.ts';
import type { OpenBundle } from './open-bundles.ts';
import type { Quarantine } from './quarantine.ts';
import type { Places } from './room.ts';
import type { SpoolChecks } from './spool/checks.ts';

export interface PipelineParts {
  readonly store: BlobStore;
  /** Hashes what lies in the spool. */
  readonly checks: SpoolChecks;
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  /** By name: those that this receiver has a policy for. */
  readonly channels: { readonly has: (name: string) => boolean };
  /** Judges statements by the policies and keys of their channels. */
  readonly judge: Judge;
  /** Whether signatures that held when a bundle was judged still do. */
  readonly stands?: (channel: string, signed: Signed) => Result<undefined>;
  readonly gates: readonly Gate[];
  readonly quarantine: Quarantine;
  /** The one release that a channel may publish again and again (PROTOCOL.md B-14). */
  readonly canary?: { readonly channel: string; readonly release: Digest } | undefined;
  /** Largest statement envelope, bytes. */
  readonly statementBytes: number;
  /** Where a bundle takes room, and how much there is. */
  readonly places: Places;
  readonly toLink: (message: ReceiverToLink) => void;
  /** A bundle is in the outbox. */
  readonly onPublished: (bundle: Digest) => void;
}

/** What the ledger knows of the numbers of a channel. */
export const chainOf = (ledger: ReceiverLedger, channel: string): ChainState => ({
  takenBy: (sequence) => ledger.takenBy(channel, sequence),
  namedBy: (sequence) => ledger.keeping.namedBy(channel, sequence),
});

/** Whose signatures a bundle has. */
export interface Signed {
  readonly sequence: number;
  readonly signer: string;
  readonly approvers: readonly string[];
}

/** Into quarantine: the statements with the reason; of the rest nothing is kept. */
export async function quarantined(
  { ledger, logger, quarantine, statementBytes }: PipelineParts,
  { id, channel }: { readonly id: Digest; readonly channel: string },
  { code, detail }: Refusal,
  statements: readonly SpooledObject[],
): Promise<void> {
  const small = statements.filter(({ size }) => size <= statementBytes);
  await quarantine.keep(id, channel, { code, detail }, small);
  ledger.quarantine({ id, channel }, code, detail);
  logger.error({ bundle: id, channel, code, detail }, 'quarantined');
}

/**
 * What held when the release was judged and may hold no more: its signatures, and that nothing newer came meanwhile. The versions of a bundle that was
 * published before counted then: they are its own by now.
 */
export function stillHolds(
  { ledger, stands }: PipelineParts,
  { transport: { signer, statement }, checked }: Pick<OpenBundle, 'transport' | 'checked'>,
  release: JudgedRelease,
): Result<undefined> {
  const { channel, sequence } = statement;
  const standing = stands?.(channel, { sequence, signer, approvers: release.signers }) ?? ok(undefined);
  if (!standing.ok || checked !== undefined) return standing;
  const versionOf = (type: string, target: string) => ledger.versionOf(channel, type, target);
  return checkVersions({ artifacts: release.versions }, { versionOf });
}

/** How long until a step that failed for reasons outside is tried again. */
export const RETRY_MS = 5000;

/** Steps that may fail since the world does. */
export class Attempts {
  readonly #limited: Logger;
  /** Steps that failed and wait for another try, by what they are about: why. */
  readonly held = new Map<string, { readonly code: string; readonly detail: string }>();

  constructor(logger: Logger) {
    this.#limited = rateLimited(logger, { intervalMs: LASTING_MS });
  }

  /** Runs a step; where the world fails (store, disk) it says so, and the step is tried again later. */
  async run(about: SpooledObject | Digest, step: () => Promise<void>): Promise<boolean> {
    const what = typeof about === 'string' ? about : `${about.channel}/${about.digest}`;
    try {
      await step();
      this.held.delete(what);
      return true;
    } catch (error) {
      const { code, message } = error as Partial<NodeJS.ErrnoException>;
      if (typeof code !== 'string') throw error;
      this.held.set(what, { code, detail: message ?? '' });
      const name = typeof about === 'string' ? { bundle: about } : { object: about.digest, channel: about.channel };
      this.#limited.error({ ...name, code, err: error }, `a step failed and is tried again (${code})`);
      return false;
    }
  }
}
