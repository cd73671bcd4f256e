/** Exit statuses of every Sluice process (70 is sysexits.h's EX_SOFTWARE, 75 EX_TEMPFAIL, 78 EX_CONFIG). */
export const EXIT = {
  ok: 0,
  /** Something failed that was reported. */
  failed: 1,
  /** The command line is not one we know. */
  usage: 2,
  /** `sluice ledger verify`: the ledger does not hold, or the store does not hold what it says. */
  ledgerBroken: 3,
  storeLacks: 4,
  /** Our own mistake: an uncaught error. systemd restarts. */
  crash: 70,
  /** A graceful stop did not end in time. */
  stuck: 75,
  /** The configuration, or a key that it names, is wrong. systemd starts again all the same: it may have been mended. */
  config: 78,
} as const;
