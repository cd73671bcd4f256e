// `node test/fuzz/minimise.ts NAME [DIRECTORY...]`: few and short inputs that still run all that the corpus, the seeds and
// the inputs in the directories run. They replace the checked-in corpus.
import type { Profiler } from 'node:inspector';
import { Coverage } from './coverage.ts';
import { type CorpusFile, corpusOf, isFinding, readCorpus, TOP, writeCorpus } from './corpus.ts';
import { isTarget, loadTarget } from './names.ts';
import { run } from './target.ts';

/** Times that something ran, in orders of magnitude: a loop run often is another thing than one run once. */
const magnitude = (count: number): number => (count === 0 ? 0 : 1 << Math.min(4, Math.floor(Math.log2(count) / 2)));

/** What of the product ran so far: of each character of its files, in which orders of magnitude. */
class Seen {
  readonly #files = new Map<string, Uint8Array>();

  /** True when something ran that never ran before. V8 leaves out a block that ran as often as what is around it, so characters count. */
  add(scripts: readonly Profiler.ScriptCoverage[]): boolean {
    let news = false;
    for (const { url, functions } of scripts) {
      if (!url.includes('/packages/') || url.includes('/node_modules/')) continue;
      const ranges = functions.flatMap((each) => each.ranges);
      ranges.sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
      const end = ranges.reduce((most, { endOffset }) => Math.max(most, endOffset), 0);
      const now = new Uint8Array(end);
      for (const { startOffset, endOffset, count } of ranges) now.fill(magnitude(count), startOffset, endOffset);
      let seen = this.#files.get(url) ?? now.slice().fill(0);
      if (seen.length < end) {
        const longer = new Uint8Array(end);
        longer.set(seen);
        seen = longer;
      }
      this.#files.set(url, seen);
      for (let i = 0; i < end; i += 1) {
        const fresh = (now[i] ?? 0) & ~(seen[i] ?? 0);
        if (fresh !== 0) seen[i] = (seen[i] ?? 0) | fresh;
        news ||= fresh !== 0;
      }
    }
    return news;
  }
}

async function minimise(name: string, directories: readonly string[]): Promise<void> {
  if (!isTarget(name)) throw new Error(`there is no target ${name}`);
  const coverage = new Coverage(TOP);
  const target = await loadTarget(name);
  const seeds = [...target.seeds()].map((bytes, i): CorpusFile => ({ name: `seed-${i}`, bytes }));
  const found = directories.flatMap(readCorpus);
  const all = [
    ...readCorpus(corpusOf(name)),
    ...seeds,
    ...found.filter(({ bytes }) => bytes.length <= target.bytesMax),
  ];
  // Short ones first: what they run, no long one is kept for.
  all.sort((a, b) => Number(isFinding(b)) - Number(isFinding(a)) || a.bytes.length - b.bytes.length);
  const seen = new Seen();
  const kept: CorpusFile[] = [];
  coverage.take();
  for (const file of all) {
    await run(target, file.bytes);
    if (seen.add(coverage.take()) || isFinding(file)) kept.push(file);
  }
  writeCorpus(corpusOf(name), kept);
  const bytes = kept.reduce((sum, file) => sum + file.bytes.length, 0);
  console.log(`${name}: ${kept.length} of ${all.length} inputs kept, ${bytes} bytes`);
}

const [name = '', ...directories] = process.argv.slice(2);
await minimise(name, directories);
