import { createHash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { readSn, readTsi, TAG_OFFSET } from '@sluice/alc';
import { readPack } from '@sluice/bundle';
import { blockBytes, blockOffset, partition } from '@sluice/fec';
import type { ReceiveMachine } from '@sluice/transfer';
import type { Digest } from '@sluice/ports';
import type { Disk, Node } from './disk.ts';
import { digestOf, type Input } from './inputs.ts';
import type { LinkProcess, Settings } from './hosts.ts';

/** A bundle that the sender sealed. */
export interface Sealed {
  readonly id: Digest;
  readonly input: Input;
  readonly sequence: number;
}

/** What a rule says was broken. */
export interface Violation {
  readonly rule: string;
  readonly detail: string;
}

const BLOB = /^\/isolated\/store\/blobs\/sha256\/([0-9a-f]{64})$/;
const PACK = /^\/isolated\/store\/packs\/sha256\/([0-9a-f]{64})$/;
const FILE = /^\/isolated\/files\/site\/(?!\.sluice\/)(.+)$/;
const MAP = /^(\/.*\/([0-9a-f]{64})-(\d+)-(\d+)-(\d+)\.[a-z]+)\.map$/;
const GENESIS = '0'.repeat(64);

/** Watches a world: each rule is looked at when what it is about happens. */
export class Checker {
  readonly violations: Violation[] = [];
  readonly sealed = new Map<Digest, Sealed>();
  /** Objects by digest, as they must be: content, packs, statements. */
  readonly contents = new Map<Digest, Uint8Array>();
  /** What must never be in the store: by digest, why. */
  readonly #evil = new Map<Digest, string>();
  readonly #good = new Set<Digest>();
  /** What belongs at a place, and by which bundles: a sender that was set back seals an input once more. */
  readonly #paths = new Map<string, Map<Digest, Set<number>>>();
  readonly #delivered = new Map<string, number>();
  /** By session and number. */
  readonly #sent = new Map<number, Map<number, Uint8Array>>();
  #taken = new Map<number, Set<number>>();
  #machine: ReceiveMachine | undefined;
  readonly #tell: (violation: Violation) => void;
  /** Reads what the sender has sealed by now. */
  readonly #look: () => void;
  /** Bits have turned over on a disk: what was right when it was looked at may be wrong when it is used. */
  rotten = false;

  constructor(tell: (violation: Violation) => void, look: () => void) {
    this.#tell = tell;
    this.#look = look;
  }

  broken(rule: string, detail: string): void {
    const violation = { rule, detail };
    if (this.violations.length < 20) this.violations.push(violation);
    this.#tell(violation);
  }

  /** What was handed in on the staging side. */
  expect(input: Input): void {
    for (const { digest, content } of input.objects) this.contents.set(digest, content);
    this.contents.set(digestOf(input.release), input.release);
    const names = [digestOf(input.release), ...input.blobs.keys()];
    for (const digest of names) {
      if (input.evil === undefined) this.#good.add(digest);
      else this.#evil.set(digest, `${input.id} is ${input.evil}`);
    }
  }

  seal(sealed: Sealed, envelope: Uint8Array): void {
    const { id, input, sequence } = sealed;
    if (this.sealed.has(id)) return;
    this.sealed.set(id, sealed);
    this.contents.set(id, envelope);
    if (input.evil === undefined) this.#good.add(id);
    else this.#evil.set(id, `${input.id} is ${input.evil}`);
    if (input.evil !== undefined) return;
    for (const [path, digest] of [...input.files, ...input.tags]) {
      const known = entryOf(this.#paths, path, () => new Map<Digest, Set<number>>());
      entryOf(known, digest, () => new Set<number>()).add(sequence);
    }
  }

  /** A name in the store or at the site stands for the right bytes, which were let in. */
  named(path: string, node: Node): void {
    if (node.kind !== 'file') return;
    const blob = BLOB.exec(path)?.[1];
    if (blob !== undefined) this.#blob(`sha256:${blob}`, node.bytes);
    const pack = PACK.exec(path)?.[1];
    if (pack !== undefined) this.#pack(`sha256:${pack}`, node.bytes);
    const file = FILE.exec(path)?.[1];
    if (file !== undefined) this.#delivery(file, digestOf(node.bytes));
  }

  /** A tag means another image now. */
  tagged(repository: string, tag: string, digest: Digest): void {
    this.#delivery(`${repository}:${tag}`, digest);
  }

  /** The importer was set back: what it knows of places went back with it. */
  forgetDeliveries(): void {
    this.#delivered.clear();
  }

  #pack(digest: Digest, bytes: Uint8Array): void {
    if (this.rotten) return;
    const members = readPack(bytes);
    if (digestOf(bytes) !== digest || !members.ok)
      this.broken('no wrong byte is published', `the store got other bytes as pack ${digest}`);
    else for (const member of members.value) this.#blob(member.digest, member.bytes);
  }

  #blob(digest: Digest, bytes: Uint8Array): void {
    if (digestOf(bytes) !== digest && !this.rotten)
      this.broken('no wrong byte is published', `the store got other bytes as ${digest}`);
    const why = this.#evil.get(digest);
    if (why !== undefined && !this.#good.has(digest))
      this.broken('nothing is published before verification', `${digest} is in the store: ${why}`);
  }

  #delivery(path: string, digest: Digest): void {
    this.#look();
    const sequences = this.#paths.get(path)?.get(digest);
    if (sequences === undefined) {
      this.broken('no wrong byte is published', `${path} got ${digest}, which no bundle brings there`);
      return;
    }
    const before = this.#delivered.get(path) ?? 0;
    // By the oldest bundle that it can have come with.
    const now = Math.min(...[...sequences].filter((sequence) => sequence >= before));
    if (now === Infinity)
      this.broken(
        'no place goes back',
        `${path} went from sequence ${String(before)} to ${String(Math.max(...sequences))}`,
      );
    else this.#delivered.set(path, now);
  }

  /** Each number of a session is given to one datagram. */
  sent(datagram: Uint8Array): void {
    const [tsi, sn] = [readTsi(datagram, 0), readSn(datagram, 0)];
    const sent = entryOf(this.#sent, tsi, () => new Map<number, Uint8Array>());
    if (sent.has(sn)) this.broken('no nonce is used twice', `session and number ${numberOf(tsi, sn)}`);
    sent.set(sn, datagram);
  }

  /** Link lives anew: its replay windows are empty. */
  linkStarted(link: LinkProcess): void {
    this.#machine = link.pipeline.machine;
    this.#taken = new Map();
  }

  /** What link made of a datagram: only what was sent may count, and once. */
  arrived(datagram: Uint8Array, take: () => void): void {
    const machine = this.#machine;
    const before = machine === undefined ? 0 : authentic(machine);
    take();
    if (machine === undefined || authentic(machine) === before) return;
    const [tsi, sn] = datagram.length < TAG_OFFSET ? [-1, -1] : [readTsi(datagram, 0), readSn(datagram, 0)];
    const sent = this.#sent.get(tsi)?.get(sn);
    const taken = entryOf(this.#taken, tsi, () => new Set<number>());
    if (sent === undefined || Buffer.compare(sent, datagram) !== 0)
      this.broken(
        'nothing counts before its tag held',
        `a datagram that nobody sent was taken, as ${numberOf(tsi, sn)}`,
      );
    else if (taken.has(sn)) this.broken('nothing is taken twice', `the datagram ${numberOf(tsi, sn)}`);
    taken.add(sn);
  }

  /** Limits hold at any time. */
  limits(link: LinkProcess, settings: Settings): void {
    const { spool, machine } = link.pipeline;
    const held: readonly (readonly [string, number, number])[] = [
      ['spool queue', spool.queuedBytes, settings.queueBytes],
      ['blocks', machine.blockBytes, settings.blockBytes],
      // Statements come in beyond the limit.
      ['spool', spool.bytes, settings.spoolBytes + 2 ** 18],
    ];
    for (const [what, bytes, most] of held)
      if (bytes > most) this.broken('limits hold', `${what}: ${String(bytes)} bytes of ${String(most)}`);
    if (spool.bytes < 0) this.broken('limits hold', `spool: ${String(spool.bytes)} bytes`);
  }

  /** A block map never says more than the part beside it holds. */
  maps(disk: Disk): void {
    const files = disk.files();
    const parts = new Map(files.map(({ path, file }) => [path, file]));
    for (const { path, file } of files) {
      const [, stem = '', hex = '', size = '', symbol = '', most = ''] = MAP.exec(path) ?? [];
      const content = this.contents.get(`sha256:${hex}`);
      const part = parts.get(`${stem}.part`);
      if (content === undefined || part === undefined) continue;
      const shape = partition(Number(size), Number(symbol), Number(most));
      for (let sbn = 0; sbn < shape.blocks; sbn += 1) {
        if (((file.bytes[sbn >>> 3] ?? 0) & (1 << (sbn & 7))) === 0) continue;
        const [from, length] = [blockOffset(shape, sbn), blockBytes(shape, sbn)];
        const [is, must] = [part.bytes.subarray(from, from + length), content.subarray(from, from + length)];
        if (Buffer.compare(is, must) !== 0)
          this.broken('a bitmap never leads its data', `block ${String(sbn)} of ${path} is marked and not there`);
      }
    }
  }

  /** The hash chain of a ledger, by its published form and with no code of the ledger. */
  chain(name: string, database: DatabaseSync): void {
    let previous = GENESIS;
    let last = 0;
    for (const row of database.prepare('SELECT * FROM events ORDER BY seq').iterate()) {
      const fields = ['seq', 'time', 'kind', 'subject', 'body'].map((field) => String(row[field]));
      const lines = ['sluice-ledger-1', previous, ...fields].map((line) => `${line}\n`).join('');
      previous = createHash('sha256').update(lines).digest('hex');
      last += 1;
      if (row.hash === previous && Number(row.seq) === last) continue;
      this.broken("the ledger's hash chain verifies", `${name}: entry ${String(last)} does not hold`);
      return;
    }
  }
}

/** A name for a datagram among those of all sessions. */
const numberOf = (tsi: number, sn: number): string => `${String(tsi)}/${String(sn)}`;

function entryOf<K, T>(map: Map<K, T>, key: K, make: () => T): T {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function authentic(machine: ReceiveMachine): number {
  const { verdicts } = machine.counters;
  return (verdicts.get('accepted') ?? 0) + (verdicts.get('surplus') ?? 0);
}
