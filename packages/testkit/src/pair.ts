import { createHash } from 'node:crypto';
import { createCodec, type FecProfile, PROFILES } from '@sluice/fec';
import type { DatagramCode, Digest, LinkKey, TagAlgorithm } from '@sluice/ports';
import {
  DEFAULT_LIMITS,
  type ObjectInfo,
  type PassOrder,
  ReceiveMachine,
  type ReceiveEvent,
  type ReceiveLimits,
  SendMachine,
  type SendEvent,
  type SendObject,
  spoolKey,
  type SpoolPort,
} from '@sluice/transfer';
import { makeLinkKey, sha256, type TagAccelerator } from '@sluice/trust';
import { type LinkFaults, SimulatedLink } from './link.ts';
import { Random } from './random.ts';

export const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A spool in memory: keeps the blocks, says what is whole. */
export class MemorySpool implements SpoolPort {
  readonly objects = new Map<
    string,
    { readonly info: ObjectInfo; readonly bytes: Uint8Array; readonly stored: Uint8Array }
  >();
  readonly complete = new Set<string>();
  /** Answers instead of storing, for tests of refusal. */
  refuse: (info: ObjectInfo, sbn: number) => DatagramCode | undefined = () => undefined;
  refuseOpen: (info: ObjectInfo) => DatagramCode | undefined = () => undefined;

  open(info: ObjectInfo): { readonly stored: Uint8Array } | 'complete' | DatagramCode {
    const refusal = this.refuseOpen(info);
    if (refusal !== undefined) return refusal;
    const key = spoolKey(info);
    if (this.complete.has(key)) return 'complete';
    const object = this.objects.get(key) ?? { info, bytes: new Uint8Array(info.size), stored: new Uint8Array(2 ** 13) };
    this.objects.set(key, object);
    return { stored: object.stored };
  }

  block(
    info: ObjectInfo,
    sbn: number,
    offset: number,
    bytes: Uint8Array,
    release: () => void,
  ): 'stored' | DatagramCode {
    const refusal = this.refuse(info, sbn);
    if (refusal !== undefined) return refusal;
    const object = this.objects.get(spoolKey(info));
    if (object === undefined) throw new Error('a block of an object that was never opened');
    object.bytes.set(bytes, offset);
    object.stored[sbn >>> 3] = (object.stored[sbn >>> 3] ?? 0) | (1 << (sbn & 7));
    release();
    return 'stored';
  }
}

export interface PairOptions {
  readonly seed: number;
  readonly faults: LinkFaults;
  readonly rate?: number;
  readonly outageMs?: number;
  readonly symbolBytes?: number;
  readonly profile?: FecProfile;
  readonly limits?: Partial<ReceiveLimits>;
  readonly groupBytes?: number;
  readonly algorithm?: TagAlgorithm;
}

export const testKeys = (
  channels: readonly string[],
  accelerate?: TagAccelerator,
  algorithm: TagAlgorithm = 'HMAC-SHA-256-128',
): LinkKey[] =>
  channels.map((channel, asid) =>
    makeLinkKey({ asid, channel, algorithm, key: new Uint8Array(32).fill(asid + 1) }, accelerate),
  );

/** A sender and a receiver in one process, joined by a simulated link, on a virtual clock. */
export class Pair {
  readonly random: Random;
  readonly spool = new MemorySpool();
  readonly whole: ObjectInfo[] = [];
  readonly heartbeats: Uint8Array[] = [];
  readonly sendEvents: SendEvent[] = [];
  readonly link: SimulatedLink;
  readonly keys: LinkKey[];
  now = 1e9;
  sender: SendMachine;
  receiver: ReceiveMachine;
  /** Where what the link lets through goes. */
  onArrival = (datagram: Uint8Array, now: number): void => {
    this.receiver.receive(datagram, 0, datagram.length, now);
  };
  readonly #options: PairOptions;
  readonly #contents = new Map<Digest, Uint8Array>();

  constructor(options: PairOptions) {
    this.#options = options;
    this.keys = testKeys(['prod', 'lab'], undefined, options.algorithm);
    this.random = new Random(options.seed);
    this.receiver = this.restartReceiver(0);
    this.sender = this.restartSender(1000);
    this.link = new SimulatedLink(options.faults, this.random, (datagram, now) => this.onArrival(datagram, now));
  }

  restartReceiver(highestLive: number): ReceiveMachine {
    const onEvent = (event: ReceiveEvent): void => {
      if (event.type === 'object-whole') this.whole.push(event.info);
      if (event.type === 'heartbeat') this.heartbeats.push(event.body);
    };
    const parts = { keys: this.keys, codec: createCodec(), sha256, spool: this.spool, onEvent };
    this.receiver = new ReceiveMachine(parts, { ...DEFAULT_LIMITS, ...this.#options.limits }, highestLive);
    return this.receiver;
  }

  restartSender(tsi: number): SendMachine {
    const {
      rate = 1e9,
      outageMs = 20,
      symbolBytes = 1408,
      profile = PROFILES.robust,
      groupBytes = 2 ** 24,
    } = this.#options;
    const source = {
      read: (digest: Digest, offset: number, into: Uint8Array): void => {
        const bytes = this.#contents.get(digest);
        if (bytes === undefined) throw new Error(`no object ${digest}`);
        into.set(bytes.subarray(offset, offset + into.length));
      },
    };
    const settings = { symbolBytes, profile, rate, outageMs, groupBytes, statementLeadMs: 250 };
    const wallSeconds = (): number => 1.9e9 + this.now / 1e9;
    const onEvent = (event: SendEvent): void => void this.sendEvents.push(event);
    this.sender = new SendMachine(tsi, this.keys, settings, { codec: createCodec(), source, wallSeconds, onEvent });
    return this.sender;
  }

  /** Random content as an object to send. */
  object(size: number): SendObject {
    const bytes = this.random.bytes(size);
    const digest = digestOf(bytes);
    this.#contents.set(digest, bytes);
    return { digest, size, contentType: 'application/octet-stream' };
  }

  bytesOf(digest: Digest): Uint8Array {
    return this.#contents.get(digest) ?? new Uint8Array();
  }

  order(sizes: readonly number[], pass = 0, asid = 0): PassOrder {
    const [statement, ...objects] = [3000, ...sizes].map((size) => this.object(size));
    if (statement === undefined) throw new Error('no statement');
    return { bundle: 'b', asid, pass, statements: [statement], objects };
  }

  /** Sends until nothing is left; `tap` sees every datagram before the link does. */
  run(tap: (datagram: Uint8Array, at: number) => void = () => undefined): void {
    for (;;) {
      const { at, batch } = this.sender.depart(this.now);
      if (batch === undefined && at === Infinity) break;
      this.now = Math.max(this.now, at);
      this.receiver.tick(this.now);
      if (batch === undefined) continue;
      for (let i = 0; i < batch.count; i += 1) {
        const datagram = batch.bytes.subarray(i * batch.size, (i + 1) * batch.size);
        tap(datagram, this.now);
        this.link.send(datagram, this.now);
      }
    }
    this.link.flush(this.now);
  }

  /** True when every object of the order lies in the spool, whole and byte for byte. */
  arrived(order: PassOrder): boolean {
    return [...order.statements, ...order.objects].every((object) =>
      [...this.spool.objects.values()].some(
        ({ info, bytes }) =>
          info.digest === object.digest &&
          this.whole.some((whole) => whole.digest === object.digest) &&
          digestOf(bytes) === object.digest,
      ),
    );
  }
}
