import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createHash, randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { encodeRelease, readPack } from '@sluice/bundle';
import { type Digest, hexOf } from '@sluice/ports';
import { composeRelease, type Submission, writeSubmitStream } from '@sluice/sources';
import { loadSigner, makeKeyPair, signEnvelope } from '@sluice/trust';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CollectedInput } from '../src/intake/messages.ts';
import { IntakeThread } from '../src/intake/thread.ts';

const signer = loadSigner(makeKeyPair('Ed25519').privatePem);
const LARGE = 3_000_000;
const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

let base = '';
let storeRoot = '';
let intake: IntakeThread;
const start = (): IntakeThread =>
  new IntakeThread({ storeRoot, limits: { entries: 10_000, depth: 32, bytes: 2 ** 30 } });
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'sluice-intake-'));
  storeRoot = join(base, 'store');
  intake = start();
});
afterEach(async () => {
  await intake.stop();
  rmSync(base, { recursive: true });
});

type Files = Readonly<Record<string, Uint8Array>>;

/** A bundle of these files with its release, as an operator has it. */
async function bundleOf(files: Files): Promise<string> {
  const directory = mkdtempSync(join(base, 'bundle-'));
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), bytes);
  }
  const composed = await composeRelease([directory], { name: 'test', approvedBy: [], repositoryOf: () => undefined });
  if (!composed.ok) throw new Error(composed.error.detail);
  const { name, artifacts, approvedBy } = composed.value.statement.predicate;
  const envelope = signEnvelope(encodeRelease({ name, artifacts, approvedBy }), [signer]);
  writeFileSync(join(directory, 'release.dsse.json'), envelope);
  return directory;
}

/** A place in a work area. */
function submissionOf(id: string): Submission & { readonly archive: string } {
  const home = join(base, id);
  mkdirSync(home);
  return { id, name: id, home, directory: join(home, 'input'), archive: join(home, 'files.tar') };
}

/** The bundle handed in by a rename. */
function renamed(id: string, bundle: string): Submission {
  const { name, home, directory } = submissionOf(id);
  renameSync(bundle, directory);
  return { id, name, home, directory };
}

async function* asStream(bundle: string): AsyncGenerator<Uint8Array> {
  for (const piece of writeSubmitStream([bundle])) {
    for (let at = 0; at < piece.length; at += 65_536) yield await Promise.resolve(piece.subarray(at, at + 65_536));
  }
}

async function collected(submission: Submission): Promise<CollectedInput> {
  const result = await intake.collect(submission);
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.detail}`);
  return result.value;
}

const blob = (digest: Digest): Buffer => readFileSync(join(storeRoot, 'blobs/sha256', hexOf(digest)));

/** What lies in the store for a bundle's objects: the members of packs, and the large ones. Each object is what its digest says. */
function contentsOf({ objects, release }: CollectedInput): Map<Digest, Uint8Array> {
  const contents = new Map<Digest, Uint8Array>();
  for (const { digest, size, contentType } of [...objects, { ...release, contentType: 'statement' }]) {
    const bytes = blob(digest);
    expect([digestOf(bytes), bytes.length]).toEqual([digest, size]);
    if (contentType === 'application/octet-stream') contents.set(digest, bytes);
    if (contentType !== 'application/x-tar') continue;
    const members = readPack(bytes);
    if (!members.ok) throw new Error(members.error.detail);
    for (const member of members.value) {
      expect(digestOf(member.bytes)).toBe(member.digest);
      contents.set(member.digest, member.bytes);
    }
  }
  return contents;
}

const filesOf = (): Files => ({
  large: randomBytes(LARGE),
  'etc/motd': Buffer.from('hello'),
  'etc/empty': Buffer.alloc(0),
  ...Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`many/${String(i)}`, randomBytes(200_000)])),
});

const openBelow = (directory: string): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(directory) ? [path] : [];
    } catch {
      // Closed since it was listed.
      return [];
    }
  });

describe('an input by rename', () => {
  it('has its small files packed and its large ones moved, not copied', async () => {
    const files = filesOf();
    const submission = renamed('1', await bundleOf(files));
    const { ino } = statSync(join(submission.directory, 'large'));
    const input = await collected(submission);
    expect([...contentsOf(input).keys()].sort()).toEqual(Object.values(files).map(digestOf).sort());
    expect(input).toMatchObject({
      name: 'test',
      blobs: 53,
      bytes: Object.values(files).reduce((sum, { length }) => sum + length, 0),
    });
    const large = files.large === undefined ? undefined : digestOf(files.large);
    expect(statSync(join(storeRoot, 'blobs/sha256', (large ?? '').slice(7))).ino).toBe(ino);
    expect(existsSync(join(submission.directory, 'large'))).toBe(false);
    expect(readdirSync(join(storeRoot, 'tmp/intake'))).toEqual([]);
    expect(openBelow(base)).toEqual([]);
  });

  it('is collected again as it was, when a crash came before the seal', async () => {
    const submission = renamed('1', await bundleOf(filesOf()));
    const first = await collected(submission);
    await intake.stop();
    intake = start();
    expect(await collected(submission)).toEqual(first);
  });

  it('is refused without a loss when a file is not what the release says', async () => {
    const files = filesOf();
    const bundle = await bundleOf(files);
    writeFileSync(join(bundle, 'many/7'), randomBytes(200_000));
    const submission = renamed('1', bundle);
    expect(await intake.collect(submission)).toMatchObject({ ok: false, error: { code: 'blob-missing' } });
    expect(readFileSync(join(submission.directory, 'large')).equals(files.large ?? Buffer.alloc(0))).toBe(true);
    expect(readdirSync(join(storeRoot, 'blobs/sha256'))).toEqual([]);
    expect(readdirSync(join(storeRoot, 'tmp/intake'))).toEqual([]);
  });

  it('whose writer kept a file open and wrote on is found out, and a new one heals', async () => {
    const files = { large: randomBytes(LARGE) };
    const bundle = await bundleOf(files);
    const writer = openSync(join(bundle, 'large'), 'r+');
    const { objects } = await collected(renamed('1', bundle));
    expect(await intake.missing(objects)).toEqual([]);
    writeSync(writer, 'late', 5000);
    closeSync(writer);
    expect(await intake.missing(objects)).toEqual([digestOf(files.large)]);
    expect(await intake.missing(objects)).toEqual([digestOf(files.large)]);
    const healed = await collected(renamed('2', await bundleOf(files)));
    expect(healed.objects).toEqual(objects);
    contentsOf(healed);
    expect(await intake.missing(objects)).toEqual([]);
  });
});

describe('an input by stream', () => {
  it('is hashed on its way in: the same content as by rename, its large files moved', async () => {
    const files = filesOf();
    const bundle = await bundleOf(files);
    const submission = submissionOf('1');
    const places = { directory: submission.directory, archive: submission.archive };
    expect(await intake.receive(asStream(bundle), places, submission)).toMatchObject({ ok: true });
    const { ino } = statSync(join(submission.directory, 'large'));
    const input = await collected(submission);
    expect([...contentsOf(input).keys()].sort()).toEqual(Object.values(files).map(digestOf).sort());
    const large = files.large === undefined ? undefined : digestOf(files.large);
    expect(statSync(join(storeRoot, 'blobs/sha256', (large ?? '').slice(7))).ino).toBe(ino);
    expect(openBelow(base)).toEqual([]);
    expect(await collected(renamed('2', bundle))).toEqual(input);
  });

  it('is collected after a crash from what lies on the disk', async () => {
    const bundle = await bundleOf(filesOf());
    const submission = submissionOf('1');
    await intake.receive(
      asStream(bundle),
      { directory: submission.directory, archive: submission.archive },
      submission,
    );
    await intake.stop();
    intake = start();
    const input = await collected(submission);
    contentsOf(input);
    expect(input.blobs).toBe(53);
  });

  it('is refused as soon as its form is wrong, without reading on', async () => {
    const submission = submissionOf('1');
    let asked = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; asked < 1000; asked += 1) yield await Promise.resolve(Buffer.alloc(2 ** 20, 'no tar'));
    }
    const places = { directory: submission.directory, archive: submission.archive };
    const refused = await intake.receive(endless(), places, submission);
    expect(refused).toMatchObject({ ok: false, error: { code: 'tar-malformed' } });
    expect(asked).toBeLessThan(20);
    expect(openBelow(base)).toEqual([]);
  });

  it('that breaks is given up, and the next one goes its way', async () => {
    const bundle = await bundleOf(filesOf());
    const submission = submissionOf('1');
    async function* broken(): AsyncGenerator<Uint8Array> {
      for await (const piece of asStream(bundle)) {
        yield piece.subarray(0, 100_000);
        throw new Error('the line is dead');
      }
    }
    const places = { directory: submission.directory, archive: submission.archive };
    await expect(intake.receive(broken(), places, submission)).rejects.toThrow('the line is dead');
    await expect.poll(() => openBelow(base)).toEqual([]);
    const next = submissionOf('2');
    const whole = await intake.receive(asStream(bundle), { directory: next.directory, archive: next.archive }, next);
    expect(whole).toMatchObject({ ok: true });
    contentsOf(await collected(next));
  });
});

it('a stop in the middle of a large file is at once, and loses nothing', async () => {
  const bundle = await bundleOf({ large: randomBytes(64 * 2 ** 20) });
  const submission = renamed('1', bundle);
  const rejected = expect(intake.collect(submission)).rejects.toMatchObject({ code: 'source-io', retryable: true });
  await intake.stop();
  await rejected;
  intake = start();
  contentsOf(await collected(submission));
});
