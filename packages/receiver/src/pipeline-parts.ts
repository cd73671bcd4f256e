import type { Logger } from '@sluice/base';
import type { ReceiverLedger } from '@sluice/ledger';
import type { BlobStore, Digest, ReceiverToLink, Result } from '@sluice/ports';
import type { Gate } from './gates.ts';
import type { Judge } from './judge/judge.ts';
import type { Quarantine } from './quarantine.ts';
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
  readonly toLink: (message: ReceiverToLink) => void;
  /** A bundle is in the outbox. */
  readonly onPublished: (bundle: Digest) => void;
}

/** Whose signatures a bundle has. */
export interface Signed {
  readonly sequence: number;
  readonly signer: string;
  readonly approvers: readonly string[];
}
