import { describe, expect, it } from 'vitest';
import { htmlReport } from '../src/replay/html.ts';
import type { FullReport } from '../src/replay/report.ts';

/** Markup, an ANSI sequence, C1's own form of one, a sequence that turns what follows around, and quotes. */
const HOSTILE = `<img src=x onerror=alert(1)> \u001b[31mred \u009b2J \u202egnp.exe"'&`;

/** A report in which every text is hostile: what of it is ours by its type is the attacker's here. */
function reported(word: string): FullReport {
  const each = { [word]: 3 };
  const codes = word as never;
  return {
    made: { time: word, inputs: [{ name: word, bytes: 1, sha256: word }], selection: { bundle: word } },
    ...{ files: 1, firstFile: 2, tagsChecked: false, datagrams: 9, cut: 1 },
    ...{ byHeaders: { verdicts: each, lost: 0 }, verdicts: { ...each, accepted: 4 }, differences: each },
    recorded: { same: 1, need: 1, differing: 1, unrecorded: 1, unheld: 1 },
    ...{ lost: 1, unlogged: 1, recoveredSymbols: 1, blocks: 1, sessions: [7], heartbeats: 1 },
    objects: [
      { channel: word, digest: codes, size: 1, contentType: word, state: 'partial', blocks: 2, stored: 1 },
      { channel: word, digest: codes, size: 1, contentType: word, state: codes, blocks: 2, stored: 1 },
    ],
    faults: [{ file: word, code: codes, offset: 1 }],
    problems: [word],
    timeline: { stepSeconds: 1, steps: [{ time: word, counts: { bytes: 100, ...each } }] },
    ...{ bursts: { 1: 2 }, reordered: 1, tooLate: 0, duplicates: 0 },
    blockSums: { blocks: 1, byLost: { 0: 1, 2: 1 }, byMargin: { '-1': 1, 3: 1 } },
    heat: { rowBlocks: 1, rows: [[0, 0.5, null]] },
    bundles: [
      {
        ...{ id: codes, channel: word, sequence: 1, release: codes, name: word, objects: 3, whole: 2 },
        ledger: { state: word, code: word, agrees: false, why: word },
      },
    ],
  };
}

describe('text of a stranger in the report', () => {
  const html = htmlReport(reported(HOSTILE));

  it('is text, wherever it stands', () => {
    expect(html).not.toContain('<img');
    expect(html.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
    expect(html.split('&lt;img src=x onerror=alert(1)&gt;').length).toBeGreaterThan(20);
    // The same tags and attributes as where all of it is a harmless word.
    const shape = (page: string): string[] =>
      [...page.matchAll(/<[^>]*>/g)].map(([tag]) => tag.replace(/aria-label="[^"]*"/, ''));
    expect(shape(html)).toEqual(shape(htmlReport(reported('word'))));
  });

  it('is shown, not hidden: with its control characters spelled out', () => {
    expect(html).toContain('\\u001b[31mred \\u009b2J \\u202egnp.exe&quot;&#39;&amp;');
  });

  it('is nothing that a browser would load or run', () => {
    expect(html).not.toMatch(/<(script|iframe|object|embed|link|base|form|a)\b/);
    expect(html).not.toMatch(/\b(src|href|on\w+)="/);
    expect(html).toContain("default-src 'none'");
  });
});
