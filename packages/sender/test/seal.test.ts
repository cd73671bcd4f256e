import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createJsonLogger } from '@sluice/base';
import { checkChain, readPack, type VerifiedTransport, verifyRelease, verifyTransport } from '@sluice/bundle';
import { SenderLedger } from '@sluice/ledger';
import type { BlobStore, Digest, Result } from '@sluice/ports';
import { openFsStore } from '@sluice/store';
import type { PassOrder } from '@sluice/transfer';
import { loadSigner } from '@sluice/trust';
import { IntakeThread } from '../src/intake/thread.ts';
import { passOrder, type PipelineParts, sendInput } from '../src/pipeline.ts';
import { StagingLock } from '../src/staging-lock.ts';
import { bundleAt, contextOf, digestOf, keys, put, releaseOf, scratch } from './inputs.ts';

const logger = createJsonLogger('test', { write: () => undefined });

/** The staging side without its sockets. `crash` is where the process ends: before the statement is in the store, or before stop 3. */
class Staging {
  readonly dir = scratch();
  readonly orders: PassOrder[] = [];
  readonly store: BlobStore;
  readonly intake: IntakeThread;
  ledger: SenderLedger;
  crash: 'statement' | 'transmit' | undefined;
  queuedBundles = 100;
  #inputs = 0;

  private constructor(dir: string, store: BlobStore) {
    this.dir = dir;
    this.store = store;
    this.ledger = this.#open();
    const limits = { entries: 100, depth: 8, bytes: 2 ** 20 };
    this.intake = new IntakeThread({ storeRoot: join(dir, 'store'), limits });
    onTestFinished(async () => {
      await this.intake.stop();
      this.ledger.close();
    });
  }

  static async create(): Promise<Staging> {
    const dir = scratch();
    return new Staging(dir, await openFsStore(join(dir, 'store')));
  }

  #open(): SenderLedger {
    return new SenderLedger(join(this.dir, 'ledger.sqlite'));
  }

  restart(): void {
    this.ledger.close();
    this.ledger = this.#open();
    this.crash = undefined;
  }

  /** A bundle of random files, in the work area under a new id. */
  input(files: Readonly<Record<string, Uint8Array>> = { a: randomBytes(3000) }): string {
    this.#inputs += 1;
    const id = `input-${String(this.#inputs)}`;
    bundleAt(join(this.dir, 'work', id, 'input'), files);
    return id;
  }

  send(id: string, channel = 'prod'): Promise<Result<void>> {
    const { store } = this;
    const put: BlobStore['put'] = (digest, size, bytes) => {
      if (this.crash === 'statement') throw new Error('the process ends here');
      return store.put(digest, size, bytes);
    };
    const parts: PipelineParts = {
      intake: this.intake,
      lock: new StagingLock(),
      store: Object.assign(Object.create(store) as BlobStore, { put }),
      ledger: this.ledger,
      logger,
      queuedBundles: this.queuedBundles,
      now: () => 1_700_000_000,
      transmit: (order) => {
        if (this.crash === 'transmit') throw new Error('the process ends here');
        this.ledger.passBegun(order.bundle);
        this.orders.push(order);
      },
    };
    const signer = loadSigner(keys.transport.privatePem);
    const home = join(this.dir, 'work', id);
    const submission = { id, name: id, home, directory: join(home, 'input') };
    return sendInput(submission, { name: channel, asid: channel === 'prod' ? 0 : 1, signer }, parts);
  }

  /** What the isolated side makes of a transport statement. */
  async verified(id: string, channel = 'prod'): Promise<VerifiedTransport> {
    const transport = verifyTransport(await this.store.readVerified(id as Digest, 2 ** 20), contextOf(channel));
    if (!transport.ok) throw new Error(transport.error.detail);
    return transport.value;
  }
}

const codeOf = (result: Result<void>): string => (result.ok ? 'ok' : result.error.code);

describe('a sealed bundle', () => {
  it('is what the receiver verifies: statements that hold, and objects that bring every blob', async () => {
    const staging = await Staging.create();
    const files = { 'etc/a': randomBytes(2000), b: randomBytes(300_000), c: Buffer.alloc(0) };
    const input = staging.input(files);
    expect(codeOf(await staging.send(input))).toBe('ok');
    const [order] = staging.orders as [PassOrder];
    const { statement, id } = await staging.verified(order.bundle);
    expect(statement).toMatchObject({
      channel: 'prod',
      sequence: 1,
      previous: null,
      blobs: 3,
      bytes: 302_000,
      seconds: 1_700_000_000,
    });
    const release = await staging.store.readVerified(statement.release.digest, 2 ** 20);
    expect(Buffer.from(release)).toEqual(Buffer.from(releaseOf(files)));
    const context = { ...contextOf('prod'), versionOf: () => undefined };
    expect(verifyRelease(release, await staging.verified(id), context).ok).toBe(true);

    expect(order).toMatchObject({ asid: 0, pass: 0, objects: statement.objects });
    expect(order.statements.map(({ digest, size }) => [digest, size])).toEqual([
      [id, (await staging.store.readVerified(id, 2 ** 20)).length],
      [statement.release.digest, statement.release.size],
    ]);
    const [pack, blob] = statement.objects;
    const members = readPack(await staging.store.readVerified(pack!.digest, 2 ** 20));
    const packed = members.ok ? members.value.map(({ digest }) => digest) : [];
    expect([...packed, blob?.digest].sort()).toEqual(Object.values(files).map(digestOf).sort());
  });

  it('follows the one before, without a gap, for each channel by itself', async () => {
    const staging = await Staging.create();
    for (const channel of ['prod', 'prod', 'lab', 'prod', 'lab']) await staging.send(staging.input(), channel);
    for (const [channel, count] of [
      ['prod', 3],
      ['lab', 2],
    ] as const) {
      const ids = new Map<number, Digest>();
      for (const { bundle } of staging.orders.filter(({ asid }) => asid === (channel === 'prod' ? 0 : 1))) {
        const transport = await staging.verified(bundle, channel);
        expect(checkChain(transport, { takenBy: (n) => ids.get(n) })).toEqual({ ok: true, value: 'new' });
        expect(transport.statement.sequence).toBe(ids.size + 1);
        expect(transport.statement.previous).toBe(ids.get(ids.size) ?? null);
        ids.set(ids.size + 1, transport.id);
      }
      expect(ids.size).toBe(count);
    }
  });

  it('a refused input takes no number', async () => {
    const staging = await Staging.create();
    await staging.send(staging.input());
    const content = { a: Buffer.from('content') };
    const large = { large: Buffer.alloc(2 ** 20 + 1) };
    const release = (files: Record<string, Uint8Array>, over = {}) => ({ 'release.dsse.json': releaseOf(files, over) });
    const inputs = {
      bare: { a: 'x' },
      other: { a: 'other', ...release(content) },
      size: { ...content, ...release(content, { total: 8, size: 8 }) },
      junk: { ...content, 'release.dsse.json': 'junk' },
      form: { ...content, ...release(content, { target: { path: '/etc/motd' } }) },
      large: { ...large, ...release(large) },
    };
    for (const [name, files] of Object.entries(inputs)) put(join(staging.dir, 'work', name, 'input'), files);
    const codes = new Map<string, string>();
    for (const name of Object.keys(inputs)) codes.set(name, codeOf(await staging.send(name)));
    expect(Object.fromEntries(codes)).toEqual({
      bare: 'release-missing',
      other: 'blob-missing',
      size: 'blob-missing',
      junk: 'json-malformed',
      form: 'path-outside-root',
      large: 'bundle-too-large',
    });
    expect(staging.ledger.head('prod').sequence).toBe(1);
    await staging.send(staging.input());
    expect((await staging.verified(staging.orders[1]!.bundle)).statement.sequence).toBe(2);
  });
});

describe('an end of the process', () => {
  it.each(['statement', 'transmit'] as const)(
    'at stop "%s": the same input is the same bundle, and no number is missing',
    async (stop) => {
      const staging = await Staging.create();
      await staging.send(staging.input());
      const input = staging.input();
      staging.crash = stop;
      await expect(staging.send(input)).rejects.toThrow('ends here');
      const { sequence, id } = staging.ledger.head('prod');
      expect(sequence).toBe(2);

      staging.restart();
      expect(codeOf(await staging.send(input))).toBe('ok');
      expect(staging.orders.map(({ bundle }) => bundle)).toHaveLength(2);
      expect(staging.orders[1]?.bundle).toBe(id);
      expect((await staging.verified(id!)).statement.sequence).toBe(2);
      await staging.send(staging.input());
      const third = await staging.verified(staging.orders[2]!.bundle);
      expect(third.statement).toMatchObject({ sequence: 3, previous: id });
    },
  );

  it('what is on its way since the start is not sent a second time', async () => {
    const staging = await Staging.create();
    const input = staging.input();
    staging.crash = 'transmit';
    await expect(staging.send(input)).rejects.toThrow('ends here');
    staging.restart();
    // As the carousel does with what an earlier run left.
    const [left] = staging.ledger.unfinished();
    staging.ledger.passBegun(left!.id);
    staging.orders.push(passOrder(left!, 0));
    expect(codeOf(await staging.send(input))).toBe('ok');
    expect(staging.orders).toHaveLength(1);
  });

  it('queuedBundles holds inputs back, and says so', async () => {
    const staging = await Staging.create();
    staging.queuedBundles = 2;
    for (let n = 0; n < 2; n += 1) await staging.send(staging.input());
    const input = staging.input();
    await expect(staging.send(input)).rejects.toMatchObject({ code: 'queue-full', retryable: true });
    staging.ledger.passDone(staging.orders[0]!.bundle, 0, 1);
    expect(codeOf(await staging.send(input))).toBe('ok');
  });
});
