/** Exit statuses of every Sluice process (70 is sysexits.h's EX_SOFTWARE, 78 EX_CONFIG). */
export const EXIT = {
  ok: 0,
  /** Something failed that was reported. */
  failed: 1,
  /** Our own mistake: an uncaught error. systemd restarts. */
  crash: 70,
  /** A graceful stop did not end in time. */
  stuck: 75,
  /** The configuration is wrong; a restart would not help (RestartPreventExitStatus=78). */
  config: 78,
} as const;
