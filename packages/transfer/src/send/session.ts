import { type Authenticator, type LinkKey, TAG_JOB_WORDS } from '@sluice/ports';
import { setSn, TAG_OFFSET } from '@sluice/alc';
import type { Arena } from '@sluice/wasm';
import type { SendKernel } from './kernel.ts';

/** A session rolls over before a number reaches this share of its range (PROTOCOL.md S-2). */
const ROLL_SHARE = 0.75;
const TOI_RANGE = 2 ** 32;
const FDT_ID_RANGE = 2 ** 20;
const SN_RANGE = 2 ** 40;

/** Seals runs of datagrams in the arena by the kernel. */
export class Sealer {
  readonly arena: Arena;
  readonly kernel: SendKernel;
  readonly jobsAt: number;
  readonly jobs: Uint32Array;

  /** @param most datagrams in one run */
  constructor(arena: Arena, kernel: SendKernel, most: number) {
    this.arena = arena;
    this.kernel = kernel;
    this.jobsAt = arena.take(most * TAG_JOB_WORDS * 4);
    this.jobs = new Uint32Array(arena.bytes.buffer, this.jobsAt, most * TAG_JOB_WORDS);
  }
}

/** The running numbers of one session, and the tags of its datagrams. Nothing here is ever handed out twice. */
export class SendSession {
  readonly tsi: number;
  readonly #authenticators = new Map<number, Authenticator>();
  #toi: number;
  #fdtId: number;
  #sn: number;

  /** @param used the numbers handed out last; a session begins with none */
  constructor(tsi: number, keys: readonly LinkKey[], used = { toi: 0, fdtId: 0, sn: 0 }) {
    this.tsi = tsi;
    this.#toi = used.toi;
    this.#fdtId = used.fdtId;
    this.#sn = used.sn;
    for (const key of keys) this.#authenticators.set(key.asid, key.session(tsi));
  }

  nextToi(): number {
    this.#toi += 1;
    if (this.#toi >= TOI_RANGE) throw new Error('TOI range used up: the session was not rolled');
    return this.#toi;
  }

  nextFdtId(): number {
    this.#fdtId += 1;
    if (this.#fdtId >= FDT_ID_RANGE) throw new Error('FDT Instance ID range used up: the session was not rolled');
    return this.#fdtId;
  }

  /** Datagrams sent so far. */
  get sent(): number {
    return this.#sn;
  }

  /** True when the session must be rolled before more is begun. */
  get worn(): boolean {
    return (
      this.#toi >= TOI_RANGE * ROLL_SHARE ||
      this.#fdtId >= FDT_ID_RANGE * ROLL_SHARE ||
      this.#sn >= SN_RANGE * ROLL_SHARE
    );
  }

  /** Gives framed datagrams of `size` bytes, end to end, their sequence numbers and tags: the last thing before departure. */
  seal(datagrams: Uint8Array, size: number, asid: number): void {
    const authenticator = this.#authenticator(asid);
    for (let at = 0; at < datagrams.length; at += size) {
      const datagram = datagrams.subarray(at, at + size);
      setSn(datagram, 0, this.#next(1));
      authenticator.sign(datagram, TAG_OFFSET);
    }
  }

  /** As `seal`, for `count` datagrams at an address of the arena. Their tag fields are zero. */
  sealRun(at: number, size: number, count: number, asid: number, { arena, jobs, jobsAt, kernel }: Sealer): void {
    const authenticator = this.#authenticator(asid);
    kernel.stamp(at, size, count, this.#next(count), jobsAt);
    authenticator.tags(arena.bytes, jobs, count);
  }

  #authenticator(asid: number): Authenticator {
    const authenticator = this.#authenticators.get(asid);
    if (authenticator === undefined) throw new Error(`no link key for ASID ${String(asid)}`);
    return authenticator;
  }

  /** The first of `count` sequence numbers that are ours now. */
  #next(count: number): number {
    const first = this.#sn + 1;
    this.#sn += count;
    if (this.#sn >= SN_RANGE) throw new Error('SN range used up: the session was not rolled');
    return first;
  }
}
