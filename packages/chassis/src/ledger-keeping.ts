import {
  duration,
  type Infer,
  integer,
  type Logger,
  object,
  optional,
  secretFile,
  type Shutdown,
  withDefault,
} from '@sluice/base';

/** How the entries of a ledger are vouched for, and how long they stay. `check` looks at the key. */
export const ledgerConfig = (check: (pem: string) => unknown) =>
  withDefault(
    object('how the ledger is vouched for, and how long its entries stay', {
      checkpointKeyFile: optional(
        secretFile('private key that signs checkpoints of the ledger, PEM; without it there are none', check),
      ),
      checkpointEvery: withDefault(
        duration('a checkpoint is made after this, if there are new entries', { min: 1000 }),
        '1d',
      ),
      keepFor: optional(
        duration('entries older than this go, under a checkpoint; without it all stay', { min: 3_600_000 }),
      ),
      keepEntries: withDefault(
        integer('latest entries that stay in any case', { min: 1000, max: 1_000_000_000 }),
        100_000,
      ),
    }),
    {},
  );

export type LedgerConfig = Infer<ReturnType<typeof ledgerConfig>>;

/** A ledger, as far as it is kept. */
export interface KeptLedger {
  readonly neededFrom: () => number;
  readonly checkpoints: {
    readonly list: readonly { readonly seq: number; readonly time: number }[];
    readonly make: (signer: LedgerSigner) => { readonly seq: number; readonly hash: string } | undefined;
    readonly close: (rules: {
      readonly olderThan: number;
      readonly keepEntries: number;
      readonly neededFrom: number;
    }) => number;
  };
}

export interface LedgerSigner {
  readonly keyid: string;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

export interface LedgerKeepingParts {
  readonly ledger: KeptLedger;
  readonly config: LedgerConfig;
  /** The key of `checkpointKeyFile`. */
  readonly signer: LedgerSigner | undefined;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  /** Unix milliseconds. */
  readonly now?: () => number;
}

/** How often it is looked at. */
const LOOK_MS = 3_600_000;

/** A checkpoint when it is time for one; then old entries go. */
export function keepLedger({
  ledger,
  config,
  signer,
  logger,
  now = Date.now,
}: Omit<LedgerKeepingParts, 'shutdown'>): void {
  if (signer === undefined) return;
  const time = now();
  const { checkpoints } = ledger;
  const latest = checkpoints.list.at(-1)?.time;
  // The clock may have gone back.
  const isDue = latest === undefined || time < latest || time - latest >= config.checkpointEvery;
  const made = isDue ? checkpoints.make(signer) : undefined;
  if (made !== undefined) logger.info({ entries: made.seq, head: made.hash }, 'ledger checkpoint');
  if (config.keepFor === undefined) return;
  const { keepEntries } = config;
  const gone = checkpoints.close({ olderThan: time - config.keepFor, keepEntries, neededFrom: ledger.neededFrom() });
  if (gone > 0) logger.info({ entries: gone }, 'old entries of the ledger went, under a checkpoint');
}

/** Keeps the ledger while the daemon runs. What fails is tried again the next time. */
export function startLedgerKeeping(parts: LedgerKeepingParts): void {
  const { logger, shutdown } = parts;
  const look = (): void => {
    try {
      keepLedger(parts);
    } catch (error) {
      const { code } = error as { readonly code?: unknown };
      if (typeof code !== 'string') throw error;
      logger.error({ err: error, code }, 'the ledger could not be kept in order; it is tried again');
    }
  };
  look();
  const timer = setInterval(look, LOOK_MS);
  shutdown.add('ledger keeping', () => {
    clearInterval(timer);
  });
}
