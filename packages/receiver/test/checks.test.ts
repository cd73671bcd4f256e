import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { PACK_BYTES_LIMIT, writePack } from '@sluice/bundle';
import { type Digest, hexOf } from '@sluice/ports';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type FollowedObject, SpoolChecks } from '../src/spool/checks.ts';
import { digestOf } from './bundles.ts';
import { scratch } from './receiver.ts';

const MIB = 2 ** 20;
let checks: SpoolChecks;
let dir = '';
beforeEach(() => {
  dir = join(scratch(), 'prod');
  mkdirSync(dir);
  checks = new SpoolChecks();
  onTestFinished(() => checks.stop());
});

/** An object of these bytes as it will lie in the spool; nothing is there yet. */
function objectOf(bytes: Uint8Array, digest: Digest = digestOf(bytes)): FollowedObject {
  const key = `${hexOf(digest)}-${String(bytes.length)}-1408-200`;
  return { channel: 'prod', key, digest, size: bytes.length, path: join(dir, `${key}.blob.whole`) };
}

function spooled(bytes: Uint8Array, digest?: Digest): FollowedObject {
  const object = objectOf(bytes, digest);
  writeFileSync(object.path, bytes);
  return object;
}

const open = (): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(dir) ? [path] : [];
    } catch {
      // Closed since it was listed.
      return [];
    }
  });

describe('a whole object', () => {
  it.each([1, 5000, 20 * MIB])(
    'of %i bytes holds, or is damaged in its last bit, or too short, or too long',
    async (size) => {
      const bytes = randomBytes(size);
      const object = spooled(bytes);
      expect(await checks.holds(object)).toBe(true);
      expect(await checks.holds(object)).toBe(true);
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(size - 1) ^ 1, size - 1);
      for (const wrong of [flipped, bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(0)])]) {
        checks.drop(object);
        writeFileSync(object.path, wrong);
        expect(await checks.holds(object)).toBe(false);
      }
      writeFileSync(object.path, bytes);
      expect(await checks.holds(object)).toBe(true);
      expect(open()).toEqual([]);
    },
  );

  it('that was exchanged since it was hashed is hashed again', async () => {
    const bytes = randomBytes(5000);
    const object = spooled(bytes);
    expect(await checks.holds(object)).toBe(true);
    writeFileSync(`${object.path}.new`, randomBytes(5000));
    renameSync(`${object.path}.new`, object.path);
    expect(await checks.holds(object)).toBe(false);
  });

  it('that is not there does not hold, and does once it is', async () => {
    const bytes = randomBytes(10);
    const object = objectOf(bytes);
    expect(await checks.holds(object)).toBe(false);
    checks.begin(object, false);
    writeFileSync(object.path, bytes);
    await expect.poll(() => checks.holds(object)).toBe(true);
  });

  it('that is small does not wait for a large one', async () => {
    const ended: string[] = [];
    const large = checks.holds(spooled(Buffer.alloc(128 * MIB))).then(() => ended.push('large'));
    const small = checks.holds(spooled(randomBytes(1000))).then(() => ended.push('small'));
    await Promise.all([large, small]);
    expect(ended).toEqual(['small', 'large']);
  });

  it('that is dropped is waited for no longer', async () => {
    const object = spooled(Buffer.alloc(128 * MIB));
    const waiting = expect(checks.holds(object)).rejects.toMatchObject({ code: 'ECANCELED' });
    checks.drop(object);
    await waiting;
    await expect.poll(open).toEqual([]);
    expect(await checks.holds(object)).toBe(true);
  });
});

describe('an object that is followed', () => {
  const bytes = randomBytes(3 * MIB);

  /** The part file of an object, as far as it is there. */
  function part(object: FollowedObject, size: number): FollowedObject {
    const path = object.path.replace('.whole', '.part');
    writeFileSync(path, bytes.subarray(0, size));
    return { ...object, path };
  }

  /** The thread has done what it was told before, since it does one thing after the other. */
  const done = (): Promise<boolean> => checks.holds(spooled(randomBytes(10)));

  it('is read once: at its end only the end is left', async () => {
    const object = objectOf(bytes);
    const growing = part(object, 2 * MIB);
    checks.follow(growing, 1 * MIB);
    checks.follow(growing, 2 * MIB);
    await done();
    // What was hashed is not looked at again, so nobody notices.
    writeFileSync(growing.path, randomBytes(2 * MIB));
    appendFileSync(growing.path, bytes.subarray(2 * MIB));
    renameSync(growing.path, object.path);
    expect(await checks.holds(object)).toBe(true);
    expect(open()).toEqual([]);
  });

  it('is hashed from its beginning when another file lies there at its end', async () => {
    const object = objectOf(bytes);
    const growing = part(object, 2 * MIB);
    checks.follow(growing, 2 * MIB);
    await done();
    writeFileSync(object.path, bytes);
    expect(await checks.holds(object)).toBe(true);
    checks.follow(growing, 2 * MIB);
    writeFileSync(object.path, randomBytes(bytes.length));
    expect(await checks.holds(object)).toBe(false);
    await expect.poll(open).toEqual([]);
  });

  it('is given up where too many are followed at once, and hashed from its beginning at its end', async () => {
    const objects = Array.from({ length: 300 }, () => spooled(randomBytes(2000)));
    for (const object of objects) checks.follow(object, 1000);
    await done();
    expect(new Set(open()).size).toBeLessThanOrEqual(256);
    for (const object of objects) expect(await checks.holds(object)).toBe(true);
    expect(open()).toEqual([]);
  });

  it('begins anew when less was there than was said, when it is not there, and when it is dropped', async () => {
    const object = objectOf(bytes);
    const growing = part(object, 1 * MIB);
    checks.follow(growing, 2 * MIB);
    await done();
    writeFileSync(growing.path, randomBytes(2 * MIB));
    checks.follow(growing, 2 * MIB);
    await done();
    checks.drop(growing);
    rmSync(growing.path);
    checks.follow(growing, 2 * MIB);
    await done();
    writeFileSync(object.path, bytes);
    expect(await checks.holds(object)).toBe(true);
    expect(open()).toEqual([]);
  });
});

describe('a pack', () => {
  const blobs = [randomBytes(0), randomBytes(700), randomBytes(9000)];
  const pack = writePack(blobs.map((bytes) => ({ digest: digestOf(bytes), bytes })));

  it('is taken apart: where each blob lies in it', async () => {
    const finished = await checks.finish(spooled(pack), true);
    if (finished.type !== 'holds') throw new Error(finished.type);
    expect(finished.members.map(({ digest }) => digest)).toEqual(blobs.map(digestOf).sort());
    for (const { digest, offset, size } of finished.members)
      expect(digestOf(pack.subarray(offset, offset + size))).toBe(digest);
  });

  it('is refused only where its own digest holds', async () => {
    const wrong = writePack([{ digest: digestOf(randomBytes(5)), bytes: randomBytes(700) }]);
    const codeOf = async (object: FollowedObject): Promise<string> => {
      const finished = await checks.finish(object, true);
      return finished.type === 'refused' ? finished.refusal.code : finished.type;
    };
    expect(await codeOf(spooled(wrong))).toBe('digest-mismatch');
    expect(await codeOf(spooled(randomBytes(2048)))).toBe('tar-malformed');
    expect(await codeOf(spooled(Buffer.alloc(PACK_BYTES_LIMIT + 1)))).toBe('tar-malformed');
    expect(await codeOf(spooled(pack, digestOf(randomBytes(5))))).toBe('damaged');
    expect(await codeOf(spooled(Buffer.alloc(PACK_BYTES_LIMIT + 1), digestOf(randomBytes(5))))).toBe('damaged');
    const short = spooled(pack);
    truncateSync(short.path, 1024);
    expect(await codeOf(short)).toBe('damaged');
  });
});
