import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BlobStore, type Digest, OperationalError } from '@sluice/ports';
import { describe, expect, it } from 'vitest';
import { blobOf, digestOf, packOf } from './blobs.ts';

export const MIB = 2 ** 20;
/** More than one part of a multipart upload. */
const LARGE = 17 * MIB;

/** A store under test, empty, and what a test does behind its back. */
export interface Subject {
  readonly store: BlobStore;
  /** A directory for files of the test. */
  readonly scratch: string;
  /** Puts any bytes under a digest. */
  readonly exchange: (digest: Digest, bytes: Uint8Array) => Promise<void>;
  /** Names of unfinished work that lies in the store. */
  readonly leftovers: () => Promise<readonly string[]>;
}

/** The bytes in chunks of an odd length, in a buffer that is used again as soon as the next one is asked for. */
export async function* streamOf(bytes: Uint8Array, end?: Error): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(70_001);
  for (let done = 0; done < bytes.length; done += buffer.length) {
    const chunk = bytes.subarray(done, done + buffer.length);
    buffer.set(chunk);
    yield await Promise.resolve(buffer.subarray(0, chunk.length));
    buffer.fill(0xee);
  }
  if (end !== undefined) throw end;
}

export async function all(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The error that a call ends with. */
export async function errorOf(call: Promise<unknown>): Promise<OperationalError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof OperationalError) return error;
  throw new Error('no OperationalError', { cause: error });
}

async function listed(store: BlobStore): Promise<Map<Digest, number>> {
  const blobs = new Map<Digest, number>();
  for await (const { digest, size } of store.list()) blobs.set(digest, size);
  return blobs;
}

type Open = () => Promise<Subject>;

function keeping(open: Open): void {
  describe('keeps blobs', () => {
    it.each([0, 1, 100_000, 16 * MIB, 40 * MIB])('of %i bytes', async (size) => {
      const { store, leftovers } = await open();
      const { digest, bytes } = blobOf(size);
      expect(await store.stat(digest)).toBeUndefined();
      await store.put(digest, size, streamOf(bytes));
      expect(await store.stat(digest)).toBe(size);
      expect(digestOf(await all(await store.read(digest)))).toBe(digest);
      expect(digestOf(await store.readVerified(digest, size))).toBe(digest);
      expect(await listed(store)).toEqual(new Map([[digest, size]]));
      expect(await leftovers()).toEqual([]);
    });

    it('given as one piece of memory, small and large', async () => {
      const { store } = await open();
      for (const size of [3, LARGE]) {
        const { digest, bytes } = blobOf(size);
        await store.put(digest, size, bytes);
        expect(digestOf(await store.readVerified(digest, size))).toBe(digest);
      }
    });

    it('and asks for no byte of one that is there', async () => {
      const { store } = await open();
      const { digest, bytes } = blobOf(1000);
      await store.put(digest, 1000, bytes);
      await store.put(digest, 1000, streamOf(bytes, new Error('was read')));
      expect(await store.stat(digest)).toBe(1000);
    });

    it('when eight calls bring the same one at once', async () => {
      const { store, leftovers } = await open();
      for (const size of [5000, LARGE]) {
        const { digest, bytes } = blobOf(size);
        await Promise.all(Array.from({ length: 8 }, () => store.put(digest, size, streamOf(bytes))));
        expect(digestOf(await store.readVerified(digest, size))).toBe(digest);
      }
      expect(await leftovers()).toEqual([]);
    });

    it('and replaces one that lost bytes', async () => {
      const { store, exchange } = await open();
      const { digest, bytes } = blobOf(1000);
      await exchange(digest, bytes.subarray(0, 10));
      await store.put(digest, 1000, bytes);
      expect(await store.readVerified(digest, 1000)).toEqual(bytes);
    });

    it('until they are removed', async () => {
      const { store } = await open();
      const { digest, bytes } = blobOf(10);
      await store.put(digest, 10, bytes);
      await store.remove(digest);
      expect(await store.stat(digest)).toBeUndefined();
      await store.remove(digest);
      expect(await listed(store)).toEqual(new Map());
    });
  });
}

function wrongBytes(open: Open): void {
  describe.each([
    ['a small blob', 100_000],
    ['a blob of several parts', LARGE + 5 * MIB],
  ])('keeps nothing of %s', (_what, size) => {
    const blob = blobOf(size);
    const other = Buffer.from(blob.bytes);
    other[size - 1] = (other[size - 1] ?? 0) ^ 1;
    it.each([
      ['that is short', blob.bytes.subarray(0, -1), size],
      ['that is shorter than it says', blob.bytes, size + 1],
      ['that is longer than it says', blob.bytes, size - 1],
      ['with another last bit', other, size],
    ])('%s', async (_fault, bytes, said) => {
      const { store, leftovers } = await open();
      expect(await errorOf(store.put(blob.digest, said, streamOf(bytes)))).toMatchObject({
        code: 'store-digest-mismatch',
        retryable: false,
      });
      expect(await store.stat(blob.digest)).toBeUndefined();
      expect(await listed(store)).toEqual(new Map());
      expect(await leftovers()).toEqual([]);
    });

    it('whose stream fails, and says why as it came', async () => {
      const { store, leftovers } = await open();
      const broken = new Error('the source is broken');
      const bytes = blob.bytes.subarray(0, -1);
      await expect(store.put(blob.digest, size, streamOf(bytes, broken))).rejects.toBe(broken);
      expect(await store.stat(blob.digest)).toBeUndefined();
      expect(await leftovers()).toEqual([]);
    });
  });
}

function endlessBytes(open: Open): void {
  it('never reads on when more comes than was said', async () => {
    const { store } = await open();
    const { digest } = blobOf(10);
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield await Promise.resolve(Buffer.alloc(MIB));
    }
    expect((await errorOf(store.put(digest, 10, endless()))).code).toBe('store-digest-mismatch');
  });
}

function puttingMany(open: Open): void {
  describe('putMany', () => {
    it('stores hundreds, some twice, some there already', async () => {
      const { store, leftovers } = await open();
      const blobs = Array.from({ length: 300 }, (_, i) => blobOf(i * 7, i));
      const [, first] = blobs;
      if (first === undefined) throw new Error('no blobs');
      await store.put(first.digest, first.bytes.length, first.bytes);
      await store.putMany([...blobs, ...blobs.slice(0, 50)]);
      expect(await listed(store)).toEqual(new Map(blobs.map(({ digest, bytes }) => [digest, bytes.length])));
      expect(await leftovers()).toEqual([]);
      await store.putMany([]);
    });

    it('refuses one whose bytes are wrong', async () => {
      const { store, leftovers } = await open();
      const blobs = Array.from({ length: 40 }, (_, i) => blobOf(1000, i));
      const wrong = { digest: blobOf(1000, 99).digest, bytes: Buffer.alloc(1000) };
      expect(await errorOf(store.putMany([...blobs, wrong]))).toMatchObject({ code: 'store-digest-mismatch' });
      expect(await store.stat(wrong.digest)).toBeUndefined();
      expect(await leftovers()).toEqual([]);
    });
  });
}

/** One bit turned over. */
function flipped(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return bytes;
}

function puttingPacks(open: Open): void {
  describe('putPacks', () => {
    it('stores the blobs of each, some of them there already, and leaves the files', async () => {
      const { store, scratch, leftovers } = await open();
      const packs = [packOf(scratch, 0, 300), packOf(scratch, 250, 500)];
      const alone = blobOf(7, 7);
      await store.put(alone.digest, 7, alone.bytes);
      await store.putPacks(packs);
      const blobs = Array.from({ length: 500 }, (_, i) => blobOf(i, i));
      expect(await listed(store)).toEqual(new Map(blobs.map(({ digest, bytes }) => [digest, bytes.length])));
      for (const { digest, bytes } of [0, 1, 7, 260, 499].map((i) => blobs[i] ?? alone)) {
        expect(await store.stat(digest)).toBe(bytes.length);
        expect(await store.readVerified(digest, bytes.length)).toEqual(bytes);
        expect(await all(await store.read(digest))).toEqual(Buffer.from(bytes));
      }
      const last = blobOf(499, 499);
      expect((await errorOf(store.readVerified(last.digest, 498))).code).toBe('store-too-large');
      expect(packs.every(({ path }) => existsSync(path))).toBe(true);
      expect(await leftovers()).toEqual([]);
      await store.putPacks([]);
      await store.putPacks(packs);
      expect((await listed(store)).size).toBe(500);
    });

    it('are gone one by one as they are removed, whatever else came with them', async () => {
      const { store, scratch } = await open();
      await store.putPacks([packOf(scratch, 0, 20), packOf(scratch, 10, 30)]);
      for (const i of [5, 15, 25]) await store.remove(blobOf(i, i).digest);
      expect(await store.stat(blobOf(15, 15).digest)).toBeUndefined();
      expect(await errorOf(store.read(blobOf(25, 25).digest))).toMatchObject({ code: 'store-missing' });
      expect((await listed(store)).size).toBe(27);
      for (let i = 0; i < 30; i += 1) await store.remove(blobOf(i, i).digest);
      expect((await listed(store)).size).toBe(0);
      await store.putPacks([packOf(scratch, 10, 30)]);
      expect((await listed(store)).size).toBe(20);
    });

    it.each<[string, (bytes: Buffer) => Uint8Array]>([
      ['whose bytes are not what its digest says', (bytes) => flipped(bytes, bytes.indexOf(blobOf(9, 9).bytes))],
      ['that is none where it was one', (bytes) => flipped(bytes, 20)],
      ['of another size', (bytes) => bytes.subarray(0, -1)],
    ])('refuses one %s', async (_how, change) => {
      const { store, scratch, leftovers } = await open();
      const pack = packOf(scratch, 0, 10);
      writeFileSync(pack.path, change(readFileSync(pack.path)));
      expect(await errorOf(store.putPacks([pack]))).toMatchObject({ code: 'store-digest-mismatch' });
      expect((await listed(store)).size).toBe(0);
      expect(await leftovers()).toEqual([]);
      expect(await errorOf(store.putPacks([{ ...pack, path: `${pack.path} gone` }]))).toMatchObject({
        code: 'store-io',
      });
    });

    it('refuses what is no pack though the digest holds', async () => {
      const { store, scratch } = await open();
      const { digest, bytes } = blobOf(5000);
      const path = join(scratch, 'none');
      writeFileSync(path, bytes);
      expect(await errorOf(store.putPacks([{ digest, size: 5000, path }]))).toMatchObject({
        code: 'store-digest-mismatch',
      });
    });
  });
}

function adopting(open: Open): void {
  describe('adopt', () => {
    it.each([0, 5000, LARGE])('takes a file of %i bytes, also when the blob is there', async (size) => {
      const { store, scratch } = await open();
      const { digest, bytes } = blobOf(size);
      for (const name of ['one', 'two']) {
        writeFileSync(join(scratch, name), bytes);
        await store.adopt(digest, size, join(scratch, name));
        expect(existsSync(join(scratch, name))).toBe(false);
        expect(digestOf(await store.readVerified(digest, size))).toBe(digest);
      }
      await store.adopt(digest, size, join(scratch, 'gone'));
    });

    it('refuses a file of another size, and leaves it where it is', async () => {
      const { store, scratch, leftovers } = await open();
      const { digest, bytes } = blobOf(5000);
      const path = join(scratch, 'short');
      writeFileSync(path, bytes.subarray(1));
      expect((await errorOf(store.adopt(digest, 5000, path))).code).toBe('store-digest-mismatch');
      expect(existsSync(path)).toBe(true);
      expect(await store.stat(digest)).toBeUndefined();
      expect(await leftovers()).toEqual([]);
      expect(await errorOf(store.adopt(digest, 5000, join(scratch, 'gone')))).toMatchObject({ code: 'store-io' });
    });
  });
}

function reading(open: Open): void {
  describe('reading', () => {
    it('says what is not there', async () => {
      const { store } = await open();
      const { digest } = blobOf(10);
      const wanted = { code: 'store-missing', retryable: false };
      expect(await errorOf(store.read(digest))).toMatchObject(wanted);
      expect(await errorOf(store.readVerified(digest, 10))).toMatchObject(wanted);
    });

    it('gives at most the bytes that are allowed', async () => {
      const { store } = await open();
      const { digest, bytes } = blobOf(5000);
      await store.put(digest, 5000, bytes);
      expect(await store.readVerified(digest, 5000)).toEqual(bytes);
      expect(await errorOf(store.readVerified(digest, 4999))).toMatchObject({ code: 'store-too-large' });
    });

    it('detects exchanged bytes of the same size', async () => {
      const { store, exchange } = await open();
      const { digest } = blobOf(5000);
      await exchange(digest, Buffer.alloc(5000));
      expect(await store.stat(digest)).toBe(5000);
      expect(await errorOf(store.readVerified(digest, 5000))).toMatchObject({
        code: 'store-digest-mismatch',
        retryable: false,
      });
    });

    it('goes on after a hundred streams that nobody read, and a hundred that were left early', async () => {
      const { store } = await open();
      const { digest, bytes } = blobOf(3 * MIB);
      await store.put(digest, bytes.length, bytes);
      for (let i = 0; i < 100; i += 1) await store.read(digest);
      for (let i = 0; i < 100; i += 1) {
        for await (const chunk of await store.read(digest)) {
          expect(chunk.length).toBeGreaterThan(0);
          break;
        }
      }
      expect(digestOf(await all(await store.read(digest)))).toBe(digest);
    });
  });
}

function removing(open: Open): void {
  describe('removing', () => {
    it('takes many at once, packed or not, and counts the bytes that are left', async () => {
      const { store, scratch } = await open();
      await store.putPacks([packOf(scratch, 100, 140)]);
      const alone = [1000, 2000, 3000].map((size) => blobOf(size, size));
      for (const { digest, bytes } of alone) await store.put(digest, bytes.length, bytes);
      const full = await store.usage();
      const blobs = Array.from({ length: 40 }, (_, i) => blobOf(100 + i, 100 + i));
      await store.removeMany([...blobs.slice(1), ...alone.slice(1), blobOf(77).digest].map((one) => digestIn(one)));
      expect(await listed(store)).toEqual(
        new Map([blobs[0], alone[0]].flatMap((blob) => (blob ? [[blob.digest, blob.bytes.length] as const] : []))),
      );
      await store.removeMany([blobs[0], alone[0]].flatMap((blob) => (blob ? [blob.digest] : [])));
      expect(full).toBeGreaterThanOrEqual(6000 + 40 * 100);
      expect(await store.usage()).toBe(0);
      await store.removeMany([]);
    });

    it('puts a damaged blob aside, so that the right bytes can come again', async () => {
      const { store, exchange } = await open();
      const { digest, bytes } = blobOf(5000);
      await exchange(digest, Buffer.alloc(5000));
      await store.put(digest, 5000, bytes);
      expect((await errorOf(store.readVerified(digest, 5000))).code).toBe('store-digest-mismatch');
      await store.setAside(digest);
      await store.setAside(digest);
      expect(await store.stat(digest)).toBeUndefined();
      expect((await listed(store)).size).toBe(0);
      await store.put(digest, 5000, bytes);
      expect(await store.readVerified(digest, 5000)).toEqual(bytes);
    });

    it('puts one of a pack aside and leaves the others of it', async () => {
      const { store, scratch } = await open();
      const pack = packOf(scratch, 10, 20);
      await store.putPacks([pack]);
      const [first, second] = pack.blobs;
      if (first === undefined || second === undefined) throw new Error('no blobs');
      expect([undefined, pack.digest]).toContain(await store.packOf(first.digest));
      await store.setAside(first.digest);
      expect(await store.stat(first.digest)).toBeUndefined();
      expect(await store.readVerified(second.digest, 100)).toEqual(second.bytes);
      await store.putPacks([pack]);
      expect(await store.readVerified(first.digest, 100)).toEqual(first.bytes);
    });
  });
}

const digestIn = (one: Digest | { readonly digest: Digest }): Digest => (typeof one === 'string' ? one : one.digest);

/** What every BlobStore does. `open` gives a new, empty one each time. */
export function contract(open: Open): void {
  for (const part of [keeping, wrongBytes, endlessBytes, puttingMany, puttingPacks, adopting, removing, reading])
    part(open);
}
