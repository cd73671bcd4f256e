import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, hexOf, isDigest, type Refusal } from '@sluice/ports';
import type { SpooledObject } from './inventory.ts';
import { readSpooled } from './spooled.ts';
import { Turns } from './turns.ts';

/** Names of refused bundles; whatever else lies in the directory is not ours. */
const NAME = /^[0-9a-f]{64}$/;

const STATEMENT_SUFFIX = '.dsse.json';

export interface KeptStatement {
  readonly digest: Digest;
  readonly path: string;
  readonly size: number;
}

/** Where refused bundles go: `HEX/` with their statements and `reason.json`. The oldest go beyond `limit`. */
export class Quarantine {
  readonly #directory: string;
  readonly #limit: number;
  readonly #turns = new Turns();

  /** @param limit bundles kept. */
  constructor(directory: string, limit: number) {
    this.#directory = directory;
    this.#limit = limit;
  }

  /** One at a time: what is being kept must not be taken for the oldest. */
  keep(id: Digest, channel: string, refusal: Refusal, statements: readonly SpooledObject[]): Promise<void> {
    return this.#turns.take(() => this.#keep(id, channel, refusal, statements));
  }

  /** The statements that were kept of a bundle, by digest: where each lies, and its size. */
  async statements(id: Digest): Promise<ReadonlyMap<Digest, KeptStatement>> {
    const place = join(this.#directory, hexOf(id));
    const names = await readdir(place).catch(() => []);
    const kept = new Map<Digest, KeptStatement>();
    for (const name of names) {
      const digest = `sha256:${name.slice(0, -STATEMENT_SUFFIX.length)}`;
      if (!name.endsWith(STATEMENT_SUFFIX) || !isDigest(digest)) continue;
      const path = join(place, name);
      const { size } = await stat(path);
      kept.set(digest, { digest, path, size });
    }
    return kept;
  }

  async #keep(id: Digest, channel: string, refusal: Refusal, statements: readonly SpooledObject[]): Promise<void> {
    const place = join(this.#directory, hexOf(id));
    await mkdir(place, { recursive: true, mode: 0o750 });
    for (const { digest, path } of statements)
      await writeFile(join(place, `${hexOf(digest)}${STATEMENT_SUFFIX}`), await readSpooled(path));
    const reason = { bundle: id, channel, code: refusal.code, detail: refusal.detail, at: new Date().toISOString() };
    await writeFile(join(place, 'reason.json'), `${JSON.stringify(reason, undefined, 2)}\n`);
    await this.#prune(hexOf(id));
  }

  /** The oldest by the clock, which may have stepped: the one that was kept last stays in any case. */
  async #prune(last: string): Promise<void> {
    const entries = await readdir(this.#directory, { withFileTypes: true });
    const kept = entries.filter((entry) => entry.isDirectory() && NAME.test(entry.name)).map(({ name }) => name);
    if (kept.length <= this.#limit) return;
    const dated = await Promise.all(
      kept.map(async (name) => ({
        name,
        at: name === last ? Infinity : await dateOf(join(this.#directory, name)),
      })),
    );
    dated.sort((a, b) => a.at - b.at);
    for (const { name } of dated.slice(0, kept.length - this.#limit)) {
      await rm(join(this.#directory, name), { recursive: true, force: true });
    }
  }
}

/** 0 for what has gone meanwhile. */
async function dateOf(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}
