import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const TOP = join(import.meta.dirname, '../..');
/** Where a run of the fuzzer keeps what may be thrown away. */
export const WORK = join(TOP, 'tmp/fuzz');

/** The checked-in corpus of a target. */
export const corpusOf = (name: string): string => join(TOP, 'test/fuzz/corpus', name);

export interface CorpusFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The files of a corpus in the order of their names; none where there is no directory. */
export function readCorpus(directory: string): CorpusFile[] {
  let names: string[];
  try {
    names = readdirSync(directory).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return names.map((name) => ({ name, bytes: new Uint8Array(readFileSync(join(directory, name))) }));
}

/** Inputs that were findings once keep a name of their own, and no minimising drops them. */
export const isFinding = ({ name }: CorpusFile): boolean => name.startsWith('finding-');

const nameOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 16);

/** Makes `files` all that there is in a corpus. */
export function writeCorpus(directory: string, files: readonly CorpusFile[]): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const file of files)
    writeFileSync(join(directory, isFinding(file) ? file.name : nameOf(file.bytes)), file.bytes);
}
