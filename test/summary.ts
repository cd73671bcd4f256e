/** One skipped test and why. */
export interface Skip {
  readonly name: string;
  readonly reason: string;
}

/** What one run of vitest came to; written by the reporter, read by `run.ts`. */
export interface Summary {
  readonly passed: number;
  /** Failed tests, files that did not load, and errors that no test caught. */
  readonly failed: number;
  readonly skips: readonly Skip[];
}

/** The verdict: what the last line says, whether all is well, and the sentences that explain why not. */
export interface Verdict {
  readonly line: string;
  readonly success: boolean;
  readonly notes: readonly string[];
}

/**
 * Judges a run. In CI a skipped test is a failure unless its name or its reason is in `allowed`.
 * `summary` is undefined when vitest ended without a result, `status` is its exit status.
 */
export function judge(
  summary: Summary | undefined,
  status: number | null,
  options: { readonly ci: boolean; readonly allowed: readonly string[] },
): Verdict {
  const notes: string[] = [];
  const { passed, skips, failed: reported } = summary ?? { passed: 0, skips: [], failed: 0 };
  let failed = reported;
  const refused = options.ci
    ? skips.filter(({ name, reason }) => !options.allowed.includes(name) && !options.allowed.includes(reason))
    : [];
  for (const skip of skips)
    notes.push(
      `${refused.includes(skip) ? 'skipped, which CI does not allow' : 'skipped'}: ${skip.name}: ${skip.reason}`,
    );
  failed += refused.length;
  if (summary === undefined) {
    failed += 1;
    notes.push('vitest ended without a result; its output above says why.');
  } else if (passed + failed + skips.length === 0) {
    failed += 1;
    notes.push('no test ran; the file filter matches nothing.');
  } else if (status !== 0 && failed === 0) {
    failed += 1;
    notes.push(`vitest ended with status ${status ?? 'of a signal'} although no test failed.`);
  }
  const skipped = skips.length - refused.length;
  return { line: `${passed} passed, ${failed} failed, ${skipped} skipped`, success: failed === 0, notes };
}
