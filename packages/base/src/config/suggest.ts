/** The known word nearest to `word`, if it is near enough to be what was meant (at most two edits, or one in three). */
export function suggestion(word: string, known: readonly string[]): string | undefined {
  if (word.length > WORD_MAX) return undefined;
  let best: string | undefined;
  let least = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const edits = distance(word.toLowerCase(), candidate.toLowerCase());
    if (edits < least && edits < candidate.length) [best, least] = [candidate, edits];
  }
  return best;
}

/** Longer words are not compared. */
const WORD_MAX = 64;

/** Edits between two words: insertion, removal, exchange, and two neighbours swapped (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      const edits = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + same);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(swapped ? Math.min(edits, (before[j - 2] ?? 0) + 1) : edits);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}
