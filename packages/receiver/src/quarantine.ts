import { copyFile, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, hexOf, type Refusal } from '@sluice/ports';
import type { SpooledObject } from './inventory.ts';

/** Where refused bundles go: `HEX/` with their statements and `reason.json`. The oldest go beyond `limit`. */
export class Quarantine {
  readonly #directory: string;
  readonly #limit: number;

  /** @param limit bundles kept. */
  constructor(directory: string, limit: number) {
    this.#directory = directory;
    this.#limit = limit;
  }

  async keep(id: Digest, channel: string, refusal: Refusal, statements: readonly SpooledObject[]): Promise<void> {
    const place = join(this.#directory, hexOf(id));
    await mkdir(place, { recursive: true, mode: 0o750 });
    for (const { digest, path } of statements) await copyFile(path, join(place, `${hexOf(digest)}.dsse.json`));
    const reason = { bundle: id, channel, code: refusal.code, detail: refusal.detail, at: new Date().toISOString() };
    await writeFile(join(place, 'reason.json'), `${JSON.stringify(reason, undefined, 2)}\n`);
    await this.#prune();
  }

  async #prune(): Promise<void> {
    const entries = await readdir(this.#directory, { withFileTypes: true });
    const kept = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    if (kept.length <= this.#limit) return;
    const dated = await Promise.all(
      kept.map(async (name) => ({ name, at: (await stat(join(this.#directory, name))).mtimeMs })),
    );
    dated.sort((a, b) => a.at - b.at);
    for (const { name } of dated.slice(0, kept.length - this.#limit)) {
      await rm(join(this.#directory, name), { recursive: true });
    }
  }
}
