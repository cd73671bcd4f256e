import { type BigIntStats, fstatSync } from 'node:fs';
import { type Digest, ok, refuse, type Result, type Staging } from '@sluice/ports';
import { PACK_MEMBER_LIMIT } from '@sluice/bundle';
import { type Location, RefusedInput, type Root } from './beneath.ts';
import { type Content, wrongBytes } from './content.ts';
import { digestOf, hashAhead, inTurns } from './hashing.ts';
import { type LinkObject, Packer } from './pack.ts';
import { ReadAhead, type ReadFile } from './read-ahead.ts';
import { type Scan, shown } from './scan.ts';

/** A blob that the bundle must bring. */
export interface Wanted {
  readonly size: number;
  /** Whose it is, for the sentence of a refusal. */
  readonly of: string;
}

/** Takes the wanted blobs in, in the order in which they lie in the bundle, so that each is read and hashed once. */
export function takeIn(
  scan: Scan,
  content: Content,
  wanted: ReadonlyMap<Digest, Wanted>,
  staging: Staging,
  canMove: boolean,
): Promise<Result<readonly LinkObject[]>> {
  return new TakingIn(scan.root, content, wanted, staging, canMove).all(scan.files);
}

class TakingIn {
  readonly #root: Root;
  readonly #content: Content;
  readonly #staging: Staging;
  readonly #canMove: boolean;
  readonly #packer: Packer;
  /** What is still wanted. */
  readonly #wanted: Map<Digest, Wanted>;
  readonly #large: LinkObject[] = [];

  constructor(root: Root, content: Content, wanted: ReadonlyMap<Digest, Wanted>, staging: Staging, canMove: boolean) {
    this.#root = root;
    this.#content = content;
    this.#staging = staging;
    this.#canMove = canMove;
    this.#packer = new Packer(staging);
    this.#wanted = new Map(wanted);
  }

  async all(files: readonly Location[]): Promise<Result<readonly LinkObject[]>> {
    for (const [digest, { size }] of this.#wanted) {
      if (size >= PACK_MEMBER_LIMIT && this.#staging.holds(digest, size)) this.#isLarge(digest, size);
    }
    const blobs = await this.#blobs();
    if (!blobs.ok) return blobs;
    const sizes = new Set([...this.#wanted.values()].map(({ size }) => size));
    const candidates = files.filter(({ size }) => sizes.has(size));
    await using ahead = new ReadAhead(this.#root, candidates.filter(isRead));
    for (const file of candidates) {
      if (this.#wanted.size === 0) break;
      if (!isRead(file)) await this.#take(file);
      else await this.#pack(await ahead.next());
    }
    const [missing] = this.#wanted;
    if (missing !== undefined) return this.#missing(...missing);
    await this.#packer.end();
    const large = this.#large.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
    return ok([...this.#packer.objects, ...large]);
  }

  /** Blobs of layouts: each claims its digest. */
  async #blobs(): Promise<Result<void>> {
    for (const [digest, location] of this.#content.blobs) {
      const wanted = this.#wanted.get(digest);
      if (wanted === undefined) continue;
      const claimed = this.#content.inLayout(digest, wanted.size, wanted.of);
      if (!claimed.ok) return claimed;
      const actual = await this.#take(location);
      if (actual !== digest) return wrongBytes(location, actual, digest);
    }
    return ok(undefined);
  }

  /** Takes a location in if its bytes are wanted; gives what they hash to. What is known to hash to something else is not read. */
  async #take(location: Location): Promise<Digest> {
    if (location.digest !== undefined && !this.#wanted.has(location.digest)) return location.digest;
    if (location.size < PACK_MEMBER_LIMIT) return this.#takeSmall(location);
    return (await this.#takeFile(location)) ?? (await this.#copy(location));
  }

  async #takeSmall(location: Location): Promise<Digest> {
    const bytes = this.#root.readWhole(location);
    const digest = location.digest ?? digestOf(bytes);
    await this.#pack({ bytes, digest });
    return digest;
  }

  async #pack({ bytes, digest }: ReadFile): Promise<void> {
    if (!this.#wants(digest, bytes.length)) return;
    await this.#packer.add(digest, bytes);
    this.#wanted.delete(digest);
  }

  /** A whole file is taken as it is where it can be moved; undefined for anything else. */
  async #takeFile(location: Location): Promise<Digest | undefined> {
    const { path, size, held } = location;
    if (!this.#canMove || held === true || location.offset !== 0) return undefined;
    const opened = this.#root.openFile(path);
    if (!opened.ok) throw new RefusedInput(opened.error);
    using file = opened.value;
    const before = fstatSync(file.descriptor, { bigint: true });
    if (before.size !== BigInt(size)) return undefined;
    const digest = location.digest ?? (await hashAhead(file.descriptor, size));
    if (!this.#wants(digest, size)) return digest;
    await this.#staging.take({
      digest,
      size,
      descriptor: file.descriptor,
      place: () => {
        const place = this.#root.place(path);
        if (!place.ok) throw new RefusedInput(place.error);
        return place.value;
      },
      read: () => this.#root.read(location),
    });
    // After the staging store has looked at it: what it finds changed later, it finds itself.
    if (!unchanged(before, fstatSync(file.descriptor, { bigint: true }))) throw changedMeanwhile(location);
    this.#isLarge(digest, size);
    return digest;
  }

  /** A member of an archive, or a file of another file system. */
  async #copy(location: Location): Promise<Digest> {
    const wants = (digest: Digest, size: number): boolean => this.#wants(digest, size);
    const digest = await this.#staging.copy(inTurns(this.#root.read(location)), wants);
    if (this.#wants(digest, location.size)) this.#isLarge(digest, location.size);
    return digest;
  }

  #wants(digest: Digest, size: number): boolean {
    return this.#wanted.get(digest)?.size === size;
  }

  #isLarge(digest: Digest, size: number): void {
    this.#large.push({ digest, size, contentType: 'application/octet-stream' });
    this.#wanted.delete(digest);
  }

  /** A single file of the size was a claim like a blob's name: then that one is wrong. */
  #missing(digest: Digest, { size, of }: Wanted): Result<never> {
    const candidates = this.#content.ofSize(size);
    const [single] = candidates;
    if (candidates.length !== 1 || single === undefined) return this.#content.missing(digest, of);
    return refuse(
      'digest-mismatch',
      `The bytes of ${shown(single.path)} do not hash to ${digest}, which ${of} needs; make the bundle again.`,
    );
  }
}

/** A small file of its own, whose digest is not known. */
const isRead = ({ size, held, digest, offset }: Location): boolean =>
  size < PACK_MEMBER_LIMIT && held !== true && digest === undefined && offset === 0;

const unchanged = (before: BigIntStats, after: BigIntStats): boolean =>
  before.size === after.size && before.mtimeNs === after.mtimeNs && before.ctimeNs === after.ctimeNs;

const changedMeanwhile = ({ path }: Location): RefusedInput =>
  new RefusedInput({
    code: 'digest-mismatch',
    detail: `${shown(path)} was written to while it was read; rename a bundle into the inbox only once it is complete.`,
  });
