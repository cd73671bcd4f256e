import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createJsonLogger } from '@sluice/base';
import type { ChannelPolicy } from '@sluice/bundle';
import { ReceiverLedger } from '@sluice/ledger';
import { type BlobStore, type Digest, hexOf, type LinkToReceiver, type ReceiverToLink } from '@sluice/ports';
import { openFsStore } from '@sluice/store';
import { expect, onTestFinished } from 'vitest';
import type { Gate } from '../src/gates.ts';
import { Judge } from '../src/judge/judge.ts';
import type { PipelineParts } from '../src/pipeline-parts.ts';
import { ReceiverPipeline } from '../src/pipeline.ts';
import { BOUNDLESS, type Places } from '../src/room.ts';
import { SecondLook } from '../src/second-look.ts';
import { Quarantine } from '../src/quarantine.ts';
import { SpoolChecks } from '../src/spool/checks.ts';
import { type Bundle, type Piece, signers, verifiers } from './bundles.ts';

/** A directory that goes away with the test. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-receiver-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export interface Options {
  readonly policy?: Partial<ChannelPolicy>;
  readonly gates?: readonly Gate[];
  readonly statementBytes?: number;
  readonly quarantineBundles?: number;
  readonly places?: Partial<Places>;
  readonly stands?: NonNullable<PipelineParts['stands']>;
  readonly canary?: { readonly channel: string; readonly release: Digest };
}

const CHANNELS = ['prod', 'lab'];

const policyOf = (channel: string): ChannelPolicy => ({
  channel,
  transportKeys: [signers.transport.keyid],
  releaseKeys: [signers.release.keyid, signers.second.keyid],
  releaseSignatures: 1,
  types: ['image', 'chart', 'cve-db', 'file'],
  repositories: ['**'],
  paths: ['**'],
  maxBytes: 2 ** 30,
  maxArtifacts: 100,
});

type SpooledObject = Omit<LinkToReceiver & { readonly type: 'object' }, 'type'>;

/** The receiver's pipeline over a real ledger, store and quarantine, with a link that does what it is told to its spool. */
export class Receiver {
  readonly dir: string;
  readonly ledger: ReceiverLedger;
  readonly store: BlobStore;
  readonly published: Digest[] = [];
  readonly said: ReceiverToLink[] = [];
  readonly log: string[] = [];
  readonly #options: Options;
  readonly #checks = new SpoolChecks();
  readonly #judge: Judge;
  #pipeline: ReceiverPipeline;

  private constructor(dir: string, store: BlobStore, options: Options) {
    this.dir = dir;
    this.store = store;
    this.#options = options;
    this.#judge = new Judge(this.#contexts());
    this.ledger = new ReceiverLedger(join(dir, 'state', 'ledger.sqlite'));
    for (const channel of ['prod', 'lab', 'dev']) mkdirSync(join(dir, 'spool', channel), { recursive: true });
    this.#pipeline = this.#begin();
    onTestFinished(async () => {
      await this.settled();
      await this.#checks.stop();
      await this.#judge.stop();
      this.ledger.close();
    });
  }

  static async open(options: Options = {}): Promise<Receiver> {
    const dir = scratch();
    return new Receiver(dir, await openFsStore(join(dir, 'store')), options);
  }

  #contexts(over: Partial<ChannelPolicy> = {}) {
    return CHANNELS.map((channel) => ({
      policy: { ...policyOf(channel), ...this.#options.policy, ...over, channel },
      verifiers,
    }));
  }

  /** Other policies count from here on. */
  trust(over: Partial<ChannelPolicy>): void {
    this.#judge.trust(this.#contexts(over));
  }

  get secondLook(): SecondLook {
    const { ledger, pipeline } = this;
    const logger = createJsonLogger('test', { write: (line) => this.log.push(line) });
    const quarantine = new Quarantine(join(this.dir, 'quarantine'), 100);
    return new SecondLook({ ledger, logger, judge: this.#judge, quarantine, pipeline, statementBytes: 2 ** 20 });
  }

  #begin(): ReceiverPipeline {
    const { gates = [], statementBytes = 2 ** 20, quarantineBundles = 100, stands, canary, places } = this.#options;
    return new ReceiverPipeline({
      store: this.store,
      checks: this.#checks,
      ledger: this.ledger,
      logger: createJsonLogger('test', { write: (line) => this.log.push(line) }),
      channels: new Set(CHANNELS),
      judge: this.#judge,
      ...(stands === undefined ? {} : { stands }),
      gates,
      quarantine: new Quarantine(join(this.dir, 'quarantine'), quarantineBundles),
      canary,
      statementBytes,
      places: { ...BOUNDLESS, ...places },
      toLink: (message) => {
        this.said.push(message);
        // Settled, forgotten or withdrawn: link removes the files.
        if (message.type === 'settle' || message.type === 'forget')
          rmSync(this.#path(message.channel, message.key), { force: true });
        if (message.type !== 'withdraw') return;
        const directory = join(this.dir, 'spool', message.channel);
        for (const name of readdirSync(directory))
          if (message.digests.some((digest) => name.startsWith(hexOf(digest)))) rmSync(join(directory, name));
      },
      onPublished: (bundle) => this.published.push(bundle),
    });
  }

  get pipeline(): ReceiverPipeline {
    return this.#pipeline;
  }

  /** The process ends and starts again: only disk and ledger are left. */
  restart(): void {
    this.#pipeline = this.#begin();
  }

  #path(channel: string, key: string): string {
    return join(this.dir, 'spool', channel, `${key}.blob.whole`);
  }

  /** What link says of a piece that lies whole in its spool. */
  named({ digest, bytes, contentType }: Piece, channel = 'prod'): SpooledObject {
    const key = `${hexOf(digest)}-${bytes.length}-1408-200`;
    return { channel, key, digest, size: bytes.length, contentType, path: this.#path(channel, key) };
  }

  /** A piece lies whole in link's spool, as it is or with other bytes or another size than it should have. */
  async arrive(piece: Piece, over: { readonly channel?: string; readonly lie?: Uint8Array } = {}): Promise<void> {
    const bytes = over.lie ?? piece.bytes;
    const object = this.named({ ...piece, bytes }, over.channel);
    // As link does: under its name it is whole, also for whoever reads what came before under that name.
    writeFileSync(`${object.path}.new`, bytes);
    renameSync(`${object.path}.new`, object.path);
    await this.#pipeline.object(object);
  }

  async statements(bundle: Bundle, channel = 'prod'): Promise<void> {
    await this.arrive(bundle.transport, { channel });
    await this.arrive(bundle.release, { channel });
  }

  /** All of a bundle, in the order in which it is sent; then waits until nothing moves any more. */
  async take(bundle: Bundle): Promise<void> {
    await this.statements(bundle);
    for (const object of bundle.objects) await this.arrive(object);
    await this.settled();
  }

  async settled(): Promise<void> {
    await this.#pipeline.idle();
  }

  state(id: Digest): string | undefined {
    const record = this.ledger.bundle(id);
    return record?.code === '' ? record.state : record && `${record.state}: ${record.code}`;
  }

  /** What link was told of an object, in order. */
  told(digest: Digest): string[] {
    const names = (message: ReceiverToLink): boolean =>
      'key' in message
        ? message.key.startsWith(hexOf(digest))
        : (message.type === 'allow' || message.type === 'withdraw') && message.digests.includes(digest);
    return this.said.filter(names).map(({ type }) => type);
  }

  spooled(): string[] {
    return ['prod', 'lab'].flatMap((channel) => readdirSync(join(this.dir, 'spool', channel)));
  }

  /** Names of the blobs in the store. */
  async stored(): Promise<Digest[]> {
    return (await Array.fromAsync(this.store.list())).map(({ digest }) => digest).sort();
  }

  /** The reason file of a refused bundle, and the names beside it. */
  quarantined(id: Digest): { readonly reason: Record<string, unknown>; readonly files: readonly string[] } | undefined {
    const place = join(this.dir, 'quarantine', hexOf(id));
    if (!existsSync(place)) return undefined;
    const reason = JSON.parse(readFileSync(join(place, 'reason.json'), 'utf8')) as Record<string, unknown>;
    return { reason, files: readdirSync(place).sort() };
  }
}

/** Nothing of the bundle is in the store, and link was told that it may forget all that came. */
export async function expectRefused(receiver: Receiver, bundle: Bundle, code: string): Promise<void> {
  await receiver.settled();
  expect(receiver.state(bundle.id)).toBe(`quarantined: ${code}`);
  expect(receiver.quarantined(bundle.id)?.reason).toMatchObject({ bundle: bundle.id, channel: 'prod', code });
  expect(receiver.published).not.toContain(bundle.id);
  const stored = await receiver.stored();
  for (const { digest } of [bundle.transport, bundle.release]) expect(stored).not.toContain(digest);
}
