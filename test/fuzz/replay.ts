// `node test/fuzz/replay.ts NAME [DIRECTORY]`: gives a target every file of its corpus and its seeds, in a process of its own.
// Prints one JSON object: how many inputs, what was found, and which lines of the parser's files have run.
import { Coverage } from './coverage.ts';
import { corpusOf, readCorpus, TOP } from './corpus.ts';
import { isTarget, loadTarget } from './names.ts';
import type { Replay } from './replay-result.ts';
import { run } from './target.ts';

async function replay(name: string, directory: string): Promise<Replay> {
  if (!isTarget(name)) throw new Error(`there is no target ${name}`);
  const coverage = new Coverage(TOP);
  const target = await loadTarget(name);
  const corpus = readCorpus(directory);
  const findings: { input: string; error: string }[] = [];
  // The seeds too: each is one way to be wrong, whether or not it runs lines that no other does.
  const seeds = [...target.seeds()].map((bytes, i) => ({ name: `seed ${i}`, bytes }));
  for (const { name: input, bytes } of [...corpus, ...seeds]) {
    try {
      await run(target, bytes);
    } catch (error) {
      findings.push({ input, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  }
  const bytes = corpus.reduce((sum, file) => sum + file.bytes.length, 0);
  const lines = coverage.lines(target.files, target.beside ?? [], coverage.take());
  return { target: name, inputs: corpus.length, bytes, findings, lines };
}

const [name = '', directory = corpusOf(name)] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(await replay(name, directory))}\n`);
