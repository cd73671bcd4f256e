import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurably } from './durable-file.ts';

const NAME = 'ended-keys';

/** Ids of keys that count no more, durable: link may start long before the receiver that knows it too. */
export class EndedKeys {
  readonly #directory: string;
  readonly #ids: Set<string>;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#directory = directory;
    this.#ids = new Set(read(join(directory, NAME)));
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Durable on return. */
  add(id: string): void {
    if (this.#ids.has(id)) return;
    writeDurably(this.#directory, NAME, [...this.#ids, id].map((each) => `${each}\n`).join(''));
    this.#ids.add(id);
  }
}

function read(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
