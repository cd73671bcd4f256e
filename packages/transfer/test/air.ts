import {
  classify,
  type Fdt,
  type FdtHeader,
  FDT_HEADER_BYTES,
  parseFdt,
  readAsid,
  readEsi,
  readFdtHeader,
  readSbn,
  readSn,
  readToi,
  readTsi,
} from '@sluice/alc';
import { blockBytes, blockLength, blockOffset, createCodec, type FecProfile, partition, PROFILES } from '@sluice/fec';
import type { Digest } from '@sluice/ports';
import { type PassOrder, sendArenaBytes, type SendEvent, SendMachine, type SendObject } from '@sluice/transfer';
import { digestOf, Random, testKeys } from '../../testkit/src/index.ts';
import { Arena } from '@sluice/wasm';
import { ownBlock, recoverByCopy } from '../src/receive/gather.ts';

export const MS = 1e6;
export const SECOND = 1e9;
export const STATEMENT = 'application/vnd.dsse.envelope.v1+json';
export const HEARTBEAT = 'application/vnd.sluice.heartbeat+json';
/** Sender time when the virtual clock stands at 0, Unix seconds. */
export const WALL = 1.9e9;
const DEPARTURES_MAX = 1e6;
const codec = createCodec();

/** One datagram that left. */
export interface Flight {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly tsi: number;
  readonly asid: number;
  readonly sn: number;
  /** 0 for an FDT Instance. */
  readonly toi: number;
  readonly sbn: number;
  readonly esi: number;
  readonly fdt: FdtHeader | undefined;
}

export interface AirOptions {
  readonly seed?: number;
  readonly rate?: number;
  readonly outageMs?: number;
  readonly symbolBytes?: number;
  readonly profile?: FecProfile;
  readonly groupBytes?: number;
  readonly statementLeadMs?: number;
  /** Makes datagrams in an arena, by the kernel. */
  readonly kernel?: boolean;
  readonly tsi?: number;
  /** Sender time when the virtual clock stands at 0, Unix seconds. */
  readonly wall?: number;
  /** How much later than asked the sender comes, nanoseconds. */
  readonly late?: () => number;
}

/** A sender on a virtual clock, and a record of all that leaves it. */
export class Air {
  readonly random: Random;
  readonly keys = testKeys(['prod', 'lab']);
  readonly events: SendEvent[] = [];
  readonly flights: Flight[] = [];
  now = 5 * SECOND;
  wall: number;
  readonly machine: SendMachine;
  readonly #late: () => number;
  readonly #contents = new Map<Digest, Uint8Array>();

  constructor(options: AirOptions = {}) {
    const { seed = 1, rate = 1e8, outageMs = 20, symbolBytes = 256, profile = PROFILES.robust } = options;
    const { groupBytes = 2 ** 22, kernel = false, statementLeadMs = 250, late = () => 0 } = options;
    const { tsi = 1000, wall = WALL } = options;
    this.wall = wall;
    this.random = new Random(seed);
    this.#late = late;
    const settings = { symbolBytes, profile, rate, outageMs, groupBytes, statementLeadMs };
    const source = {
      read: (digest: Digest, offset: number, into: Uint8Array): void => {
        const bytes = this.#contents.get(digest);
        if (bytes === undefined) throw new Error(`no object ${digest}`);
        into.set(bytes.subarray(offset, offset + into.length));
      },
    };
    this.machine = new SendMachine(tsi, this.keys, settings, {
      codec,
      source,
      wallSeconds: () => this.wall + this.now / SECOND,
      onEvent: (event) => void this.events.push(event),
      ...(kernel ? { arena: Arena.create(sendArenaBytes(settings)) } : {}),
    });
  }

  object(size: number, contentType: SendObject['contentType'] = 'application/octet-stream'): SendObject {
    const bytes = this.random.bytes(size);
    const digest = digestOf(bytes);
    this.#contents.set(digest, bytes);
    return { digest, size, contentType };
  }

  order(sizes: readonly number[], more: Partial<PassOrder> = {}): PassOrder {
    const statements = [this.object(900, STATEMENT), this.object(1700, STATEMENT)];
    return { bundle: 'b', asid: 0, pass: 0, statements, objects: sizes.map((size) => this.object(size)), ...more };
  }

  lose(object: SendObject): void {
    this.#contents.delete(object.digest);
  }

  heartbeat(asid = 0): void {
    const body = new TextEncoder().encode(`{"v":1,"seconds":${this.now}}`);
    this.machine.heartbeat(asid, { digest: digestOf(body), size: body.length, contentType: HEARTBEAT }, body);
  }

  /** Sends until nothing is left, or until `enough` says so of the last datagram; what left, in order. */
  run(enough: (flight: Flight) => boolean = () => false): readonly Flight[] {
    const from = this.flights.length;
    for (let departures = 0; departures < DEPARTURES_MAX; departures += 1) {
      const { at, batch } = this.machine.depart(this.now);
      if (batch === undefined && at === Infinity) return this.flights.slice(from);
      this.now = Math.max(this.now, at) + this.#late();
      if (batch === undefined) continue;
      let stop = false;
      for (let i = 0; i < batch.count; i += 1) {
        const flight = flightOf(batch.bytes.slice(i * batch.size, (i + 1) * batch.size), this.now);
        this.flights.push(flight);
        stop ||= enough(flight);
      }
      if (stop) return this.flights.slice(from);
    }
    throw new Error(`${DEPARTURES_MAX} departures without an end`);
  }
}

function flightOf(bytes: Uint8Array, at: number): Flight {
  const form = classify(bytes, 0, bytes.length);
  const common = { at, bytes, tsi: readTsi(bytes, 0), asid: readAsid(bytes, 0), sn: readSn(bytes, 0) };
  if (form === 'object') {
    return { ...common, toi: readToi(bytes, 0), sbn: readSbn(bytes, 0), esi: readEsi(bytes, 0), fdt: undefined };
  }
  const fdt = form === 'fdt' ? readFdtHeader(bytes, 0, bytes.length) : form;
  if (typeof fdt === 'string') throw new Error(`the sender sent a datagram that is refused: ${fdt}`);
  return { ...common, toi: 0, sbn: fdt.sbn, esi: fdt.esi, fdt };
}

/** The FDT Instance in the datagrams of one sending, of which any k of each block will do. */
export function documentOf(flights: readonly Flight[]): Uint8Array {
  const header = flights[0]?.fdt;
  if (header === undefined) throw new Error('no datagram of an FDT Instance');
  const shape = partition(header.transferLength, header.symbolBytes, header.maxBlock);
  const document = new Uint8Array(header.transferLength);
  for (let sbn = 0; sbn < shape.blocks; sbn += 1) {
    const k = blockLength(shape, sbn);
    const block = ownBlock(k, shape.symbolBytes);
    for (const flight of flights) {
      if (flight.sbn === sbn && block.have < k) block.add(flight.esi, flight.bytes.subarray(FDT_HEADER_BYTES));
    }
    if (block.have < k) throw new Error(`${block.have} of ${k} symbols of an FDT Instance`);
    recoverByCopy(codec, block);
    document.set(block.bytes.subarray(0, blockBytes(shape, sbn)), blockOffset(shape, sbn));
  }
  return document;
}

export function fdtOf(flights: readonly Flight[]): Fdt {
  const parsed = parseFdt(documentOf(flights));
  if (!parsed.ok) throw new Error(`the sender's FDT Instance is refused: ${parsed.error}`);
  return parsed.value;
}

/** The sendings of FDT Instances: datagrams of one instance that left one behind the other. */
export function sendings(flights: readonly Flight[]): Flight[][] {
  const runs: Flight[][] = [];
  let before: Flight | undefined;
  for (const flight of flights) {
    const same = before?.fdt !== undefined && flight.fdt?.instanceId === before.fdt.instanceId;
    const repeated = runs.at(-1)?.some(({ sbn, esi }) => sbn === flight.sbn && esi === flight.esi) === true;
    if (flight.fdt !== undefined) {
      if (same && !repeated) runs.at(-1)?.push(flight);
      else runs.push([flight]);
    }
    before = flight;
  }
  return runs;
}

/** Most datagrams of `times`, ascending, that any stretch of `ns` holds, its end not counted. */
export function mostWithin(times: readonly number[], ns: number): number {
  let most = 0;
  let first = 0;
  times.forEach((time, i) => {
    while ((times[first] ?? 0) <= time - ns) first += 1;
    most = Math.max(most, i - first + 1);
  });
  return most;
}
