import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { TARGETS } from './names.ts';
import { type Replay, share } from './replay-result.ts';
import { LINES_LEAST } from './target.ts';

const HERE = import.meta.dirname;
/** What a corpus may weigh: it is checked in, and replayed with every test run. */
const FILES_MAX = 200;
const BYTES_MAX = 300 * 1024;

async function replayOf(name: string): Promise<Replay> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(HERE, 'replay.ts'), name], {
    maxBuffer: 16 * 2 ** 20,
  });
  return JSON.parse(stdout) as Replay;
}

it('every target file and every corpus is of a target that is replayed', () => {
  const targets = [...TARGETS].sort();
  expect(readdirSync(join(HERE, 'targets')).sort()).toEqual(targets.map((name) => `${name}.ts`));
  expect(readdirSync(join(HERE, 'corpus')).sort()).toEqual(targets);
});

describe.each(TARGETS)('the corpus of %s', (name) => {
  it('finds nothing wrong, and runs the parser', async () => {
    const replay = await replayOf(name);
    expect(replay.findings).toEqual([]);
    expect(replay.inputs).toBeGreaterThan(0);
    expect(replay.inputs).toBeLessThanOrEqual(FILES_MAX);
    expect(replay.bytes).toBeLessThanOrEqual(BYTES_MAX);
    const missing = replay.lines.map(({ file, missing: lines }) => `${file}: ${lines.join(' ')}`);
    expect(share(replay).percent, missing.join('\n')).toBeGreaterThanOrEqual(LINES_LEAST);
  });
});
