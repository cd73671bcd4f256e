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

export interface QuarantineLimits {
  readonly bundles: number;
  readonly bytes: number;
  /** Milliseconds by the local clock. */
  readonly forMs: number;
}

/** Where refused bundles go: `HEX/` with their statements and `reason.json`. The oldest go beyond the limits. */
export class Quarantine {
  readonly #directory: string;
  readonly #limits: QuarantineLimits;
  readonly #turns = new Turns();

  /** @param limits bundles kept, or all limits. */
  constructor(directory: string, limits: number | QuarantineLimits) {
    this.#directory = directory;
    this.#limits = typeof limits === 'number' ? { bundles: limits, bytes: Infinity, forMs: Infinity } : limits;
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
    const dated = await Promise.all(
      kept.map(async (name) => {
        const path = join(this.#directory, name);
        return { path, at: name === last ? Infinity : await dateOf(path), bytes: await bytesIn(path) };
      }),
    );
    dated.sort((a, b) => b.at - a.at);
    const { bundles, bytes, forMs } = this.#limits;
    let total = 0;
    for (const [i, each] of dated.entries()) {
      total += each.bytes;
      const isOver = i >= bundles || total > bytes || Date.now() - each.at > forMs;
      if (i > 0 && isOver) await rm(each.path, { recursive: true, force: true });
    }
  }
}

/** Bytes of the files of a refused bundle. */
async function bytesIn(path: string): Promise<number> {
  try {
    const sizes = (await readdir(path)).map(async (name) => (await stat(join(path, name))).size);
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
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
