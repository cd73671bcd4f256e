import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Artifact,
  encodeRelease,
  encodeTransport,
  parseReceipt,
  type Receipt,
  type VerifyContext,
} from '@sluice/bundle';
import { ImporterLedger } from '@sluice/ledger';
import { type BlobStore, type Digest, OperationalError } from '@sluice/ports';
import { openHarbor, openRegistry } from '@sluice/registry';
import { loadSigner, loadVerifier, makeKeyPair, openEnvelope, sha256, signEnvelope } from '@sluice/trust';
import { Layout, type Made } from '../../../test/harbor/images.ts';
import { PULLER, PUSHER, type Site, startSite } from '../../../test/harbor/site.ts';
import { FileSite } from '../src/files.ts';
import type { ImportEvent, ImportPorts } from '../src/pipeline.ts';

const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A store in memory, in which anybody may exchange blobs. */
export class OpenStore implements BlobStore {
  readonly blobs = new Map<Digest, Uint8Array>();

  put(digest: Digest, _size: number, bytes: AsyncIterable<Uint8Array> | Uint8Array): Promise<void> {
    if (!(bytes instanceof Uint8Array)) throw new Error('only whole blobs here');
    this.blobs.set(digest, bytes);
    return Promise.resolve();
  }
  adopt(): Promise<void> {
    throw new Error('not used here');
  }
  putMany(blobs: readonly { readonly digest: Digest; readonly bytes: Uint8Array }[]): Promise<void> {
    for (const { digest, bytes } of blobs) this.blobs.set(digest, bytes);
    return Promise.resolve();
  }
  putPacks(): Promise<void> {
    throw new Error('not used here');
  }
  stat(digest: Digest): Promise<number | undefined> {
    return Promise.resolve(this.blobs.get(digest)?.length);
  }
  async *#pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 65_536) yield await Promise.resolve(bytes.subarray(at, at + 65_536));
  }
  read(digest: Digest): Promise<AsyncIterable<Uint8Array>> {
    return Promise.resolve(this.#pieces(this.#get(digest)));
  }
  readVerified(digest: Digest, limit: number): Promise<Uint8Array> {
    return Promise.resolve().then(() => {
      const bytes = this.#get(digest);
      if (bytes.length > limit) throw new OperationalError('store-too-large', 'too large', { retryable: false });
      if (digestOf(bytes) === digest) return bytes;
      throw new OperationalError('store-digest-mismatch', 'other bytes', { retryable: false });
    });
  }
  remove(digest: Digest): Promise<void> {
    this.blobs.delete(digest);
    return Promise.resolve();
  }
  removeMany(digests: readonly Digest[]): Promise<void> {
    for (const digest of digests) this.blobs.delete(digest);
    return Promise.resolve();
  }
  setAside(digest: Digest): Promise<void> {
    return this.remove(digest);
  }
  packOf(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
  usage(): Promise<number> {
    return Promise.resolve([...this.blobs.values()].reduce((sum, { length }) => sum + length, 0));
  }
  async *list(): AsyncGenerator<{ readonly digest: Digest; readonly size: number }> {
    for (const [digest, { length: size }] of this.blobs) yield await Promise.resolve({ digest, size });
  }
  #get(digest: Digest): Uint8Array {
    const bytes = this.blobs.get(digest);
    if (bytes === undefined) throw new OperationalError('store-missing', `no ${digest}`, { retryable: false });
    return bytes;
  }
}

export const CHANNEL = 'prod';
const keys = {
  transport: makeKeyPair('Ed25519'),
  release: makeKeyPair('ECDSA-P256'),
  importer: makeKeyPair('Ed25519'),
  stranger: makeKeyPair('Ed25519'),
};
export const stranger = loadSigner(keys.stranger.privatePem);
export const transportSigner = loadSigner(keys.transport.privatePem);
const releaseSigner = loadSigner(keys.release.privatePem);
const verifiers = [loadVerifier(keys.transport.publicPem), loadVerifier(keys.release.publicPem)];
export const keyPairs = keys;

/** Two sites behind stand-ins, a store, and everything an importer needs. */
export class World {
  readonly dir: string;
  readonly store = new OpenStore();
  readonly a: Site;
  readonly b: Site;
  readonly layout: Layout;
  readonly ledger: ImporterLedger;
  readonly events: ImportEvent[] = [];
  readonly ports: ImportPorts;
  #sequence = 0;

  private constructor(dir: string, a: Site, b: Site, layout: Layout) {
    this.dir = dir;
    this.a = a;
    this.b = b;
    this.layout = layout;
    this.ledger = new ImporterLedger(join(dir, 'state', 'ledger.sqlite'));
    mkdirSync(join(dir, 'files'));
    a.harbor.addPolicy({
      name: 'to-b',
      filters: [{ type: 'name', value: '**' }],
      destination: { name: 'b', url: b.harbor.url, ...PUSHER },
    });
    const home = { url: a.harbor.url, credentials: PUSHER };
    const context: VerifyContext = {
      policy: {
        channel: CHANNEL,
        transportKeys: [transportSigner.keyid],
        releaseKeys: [releaseSigner.keyid],
        releaseSignatures: 1,
        types: ['image', 'chart', 'cve-db', 'git', 'file'],
        repositories: ['**'],
        paths: ['**'],
        maxBytes: 2 ** 30,
        maxArtifacts: 100,
      },
      verifiers: new Map(verifiers.map((verifier) => [verifier.keyid, verifier])),
      sha256,
    };
    this.ports = {
      store: this.store,
      trust: new Map([[CHANNEL, context]]),
      ledger: this.ledger,
      home: { name: 'a', registry: openRegistry(home), harbor: openHarbor(home) },
      destinations: [{ name: 'b', registry: openRegistry({ url: b.harbor.url, credentials: PULLER }) }],
      replicationPolicies: ['to-b'],
      replication: { pollMs: 5, deadlineMs: 60_000 },
      projects: { create: true, metadata: { public: 'false' } },
      files: new FileSite(join(dir, 'files')),
      signer: loadSigner(keys.importer.privatePem),
      seconds: () => 1_700_000_000,
      onEvent: (event) => this.events.push(event),
    };
  }

  static async create(): Promise<World> {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-importer-'));
    const layout = await Layout.create(join(dir, 'layout'));
    return new World(dir, await startSite(dir, 'a'), await startSite(dir, 'b'), layout);
  }

  async stop(): Promise<void> {
    for (const { registry } of [this.ports.home, ...this.ports.destinations]) registry.close();
    this.ports.home.harbor.close();
    this.ledger.close();
    await this.a.stop();
    await this.b.stop();
    rmSync(this.dir, { recursive: true });
  }

  /** Begins anew on both sites' faults and events. */
  calm(): void {
    this.a.harbor.clearFaults();
    this.b.harbor.clearFaults();
    this.events.length = 0;
  }

  /** The layout's blobs into the store, as the receiver would have published them. */
  fill(): void {
    const blobs = join(this.layout.dir, 'blobs', 'sha256');
    if (!existsSync(blobs)) return;
    for (const name of readdirSync(blobs)) {
      const digest: Digest = `sha256:${name}`;
      this.store.blobs.set(digest, this.layout.bytes(digest));
    }
  }

  put(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    this.store.blobs.set(digest, bytes);
    return digest;
  }

  /** Seals a bundle as sender and release manager would, puts its statements into the store, and gives its id. */
  seal(
    artifacts: readonly Artifact[],
    options: {
      readonly sequence?: number;
      readonly signer?: typeof stranger;
      readonly releaseSigner?: typeof stranger;
    } = {},
  ): Digest {
    this.#sequence = options.sequence ?? this.#sequence + 1;
    const sequence = this.#sequence;
    const release = encodeRelease({ name: `release ${sequence}`, artifacts, approvedBy: ['Ada L.'] });
    const releaseEnvelope = signEnvelope(release, [options.releaseSigner ?? releaseSigner]);
    const transport = encodeTransport({
      channel: CHANNEL,
      sequence,
      previous: sequence === 1 ? null : `sha256:${'0'.repeat(64)}`,
      release: { digest: this.put(releaseEnvelope), size: releaseEnvelope.length },
      objects: [],
      blobs: 1,
      bytes: 1,
      seconds: 1_700_000_000,
    });
    return this.put(signEnvelope(transport, [options.signer ?? transportSigner]));
  }

  /** Opens a receipt with the importer's public key. */
  receipt(text: string): Receipt {
    const opened = openEnvelope(Buffer.from(text), [loadVerifier(keys.importer.publicPem)]);
    if (!opened.ok || opened.value.signer === undefined) throw new Error('no receipt of ours');
    const receipt = parseReceipt(opened.value.payload);
    if (!receipt.ok) throw new Error(receipt.error.detail);
    return receipt.value;
  }
}

export const imageArtifact = (made: Made, name: string, repository: string, tags: readonly string[]): Artifact => ({
  name,
  type: 'image',
  digest: made.digest,
  size: made.size,
  total: made.size,
  mediaType: made.mediaType,
  target: { repository, tags },
});

export const fileArtifact = (digest: Digest, size: number, path: string): Artifact => ({
  name: path,
  type: 'file',
  digest,
  size,
  total: size,
  target: { path },
});
