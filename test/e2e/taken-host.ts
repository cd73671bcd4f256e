import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import {
  encodeTransport,
  type TransportObject,
  type TransportStatement,
  writePack,
} from '../../packages/bundle/src/index.ts';
import { SenderLedger } from '../../packages/ledger/src/index.ts';
import type { BlobStore, Digest } from '../../packages/ports/src/index.ts';
import { openFsStore } from '../../packages/store/src/index.ts';
import { loadSigner, signEnvelope } from '../../packages/trust/src/index.ts';

export const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** What is forged: a release envelope, contents, and a transport statement bent out of the honest one. */
export interface Forgery {
  readonly name: string;
  readonly release: Uint8Array;
  readonly blobs: readonly Uint8Array[];
  readonly bend?: (honest: TransportStatement) => TransportStatement;
  /** Name of the key that signs the transport statement; the host's own without it. */
  readonly key?: string;
}

/**
 * The staging host in the wrong hands: writes into the sender's own ledger and store, with the sender's own keys, while
 * the sender is stopped. Once started it sends what it finds there.
 */
export class TakenHost {
  readonly #dir: string;
  readonly #ledger: SenderLedger;
  readonly #store: BlobStore;

  private constructor(dir: string, store: BlobStore) {
    this.#dir = dir;
    this.#store = store;
    this.#ledger = new SenderLedger(join(dir, 'sender/ledger.sqlite'));
  }

  static async open(dir: string): Promise<TakenHost> {
    return new TakenHost(dir, await openFsStore(join(dir, 'sender/store')));
  }

  /** The first bundle of this name, as the host sealed it. */
  sealed(name: string): { readonly id: Digest; readonly sequence: number } {
    const found = this.#ledger.list(100).bundles.findLast((bundle) => bundle.name.text === name);
    if (found === undefined) throw new Error(`the host sealed no ${name}`);
    return found;
  }

  get head(): { readonly sequence: number; readonly id: Digest | null } {
    return this.#ledger.head('prod');
  }

  /** Puts a forged bundle behind those to be sent; gives its id. */
  async forge({ name, release, blobs, bend = (honest) => honest, key = 'transport' }: Forgery): Promise<Digest> {
    const objects = await this.#pack(blobs);
    await this.#store.put(digestOf(release), release.length, release);
    const signer = loadSigner(readFileSync(join(this.#dir, 'keys', `${key}.key.pem`), 'utf8'));
    const bytes = blobs.reduce((sum, { length }) => sum + length, 0);
    const { id, envelope } = this.#ledger.sealBundle({
      channel: 'prod',
      source: `forged/${name}`,
      name,
      release: digestOf(release),
      releaseSize: release.length,
      objects,
      bytes,
      make: (sequence, previous) => {
        const honest = {
          channel: 'prod',
          sequence,
          previous,
          release: { digest: digestOf(release), size: release.length },
          objects,
          blobs: Math.max(1, blobs.length),
          bytes,
          seconds: Math.floor(Date.now() / 1000),
        };
        const made = signEnvelope(encodeTransport(bend(honest)), [signer]);
        return { id: digestOf(made), envelope: made };
      },
    });
    await this.#store.put(id, envelope.length, envelope);
    return id;
  }

  /** The small blobs as the one link object that brings them. */
  async #pack(blobs: readonly Uint8Array[]): Promise<readonly TransportObject[]> {
    if (blobs.length === 0) return [];
    const pack = writePack(blobs.map((bytes) => ({ digest: digestOf(bytes), bytes })));
    const object = { digest: digestOf(pack), size: pack.length, contentType: 'application/x-tar' } as const;
    await this.#store.put(object.digest, object.size, pack);
    return [object];
  }

  /** Lets a bundle be sent once more, byte for byte. */
  again(id: Digest): void {
    const database = new DatabaseSync(join(this.#dir, 'sender/ledger.sqlite'));
    database.prepare("UPDATE bundles SET state = 'queued', passes_done = 0 WHERE id = ?").run(id);
    database.close();
  }

  close(): void {
    this.#ledger.close();
  }
}
