// The kernel that splits, admits and places whole batches, against the plain receiver that judges one datagram after the other.
// The input is a story: each two bytes are a step, which sends, forges, damages or replays a datagram, or ends a batch. Tags are
// made here, for nothing that guesses bytes would ever get past them. Every story is a session of its own.
import { FDT_HEADER_BYTES, HEADER_BYTES, makeTsi, ntpFromUnix, TAG_OFFSET } from '../../../packages/alc/src/index.ts';
import { encodeFdt, writeFdtHeader, writeObjectHeader } from '../../../packages/alc/src/index.ts';
import { blockBytes, blockLength, blockOffset, createCodec, partition } from '../../../packages/fec/src/index.ts';
import type { Authenticator, Verdict } from '../../../packages/ports/src/index.ts';
import { digestOf, Random } from '../../../packages/testkit/src/index.ts';
import {
  receiveArenaBytes,
  type ReceiveEvent,
  ReceiveMachine,
  spoolKey,
} from '../../../packages/transfer/src/index.ts';
import { sha256 } from '../../../packages/trust/src/index.ts';
import { Arena } from '../../../packages/wasm/src/index.ts';
import { runsOf, Spool } from '../kernel-parts.ts';
import { plainKey } from '../plain-tags.ts';
import { type FuzzTarget, check, same, sameBytes } from '../target.ts';

const E = 256;
const B = 10;
const NTP = ntpFromUnix(1.9e9);
const SECOND = 1e9;
const LIMITS = {
  blockBytes: 2 ** 16,
  unknownToiBytes: 2 ** 12,
  objectBytes: 2 ** 30,
  objects: 100,
  tois: 3,
  fdtInstances: 2,
};
const BATCH_BYTES = 2 ** 17;
const RUNS_MAX = 60;
const codec = createCodec();
/** Three keys: one without a check for many tags at once, and one that shares its channel. */
const keys = [plainKey(0, 'prod', true), plainKey(1, 'lab', false), plainKey(2, 'prod', true)];

/** What the receiver is sent: a few objects, with the symbols of their blocks. */
const random = new Random(7);
const OBJECTS = [4000, 256, 12_000, 160].map((size, i) => {
  const bytes = random.bytes(size);
  const shape = partition(size, E, B);
  const symbols = Array.from({ length: shape.blocks }, (_, sbn) => {
    const k = blockLength(shape, sbn);
    const source = new Uint8Array(k * E);
    source.set(bytes.subarray(blockOffset(shape, sbn), blockOffset(shape, sbn) + blockBytes(shape, sbn)));
    const out = new Uint8Array(16 * E);
    codec.encode(
      source,
      k,
      E,
      Array.from({ length: 16 }, (__, esi) => esi),
      out,
    );
    return out;
  });
  const contentType = i === 3 ? 'application/vnd.sluice.heartbeat+json' : 'application/octet-stream';
  return { toi: i + 1, digest: digestOf(bytes), size, contentType, symbols } as const;
});

/** One of the two receivers. */
class Side {
  readonly spool = new Spool();
  events: ReceiveEvent[] = [];
  readonly machine: ReceiveMachine;
  readonly #inbox: { readonly arena: Arena; readonly at: number } | undefined;

  constructor(arena?: Arena) {
    const onEvent = (event: ReceiveEvent): void => void this.events.push(event);
    const parts = { keys, codec, sha256, spool: this.spool, onEvent, ...(arena === undefined ? {} : { arena }) };
    this.machine = new ReceiveMachine(parts, LIMITS, 0);
    if (arena !== undefined) this.#inbox = { arena, at: arena.take(BATCH_BYTES) };
  }

  receive(datagrams: readonly Uint8Array[], now: number): Verdict[] {
    const verdicts: Verdict[] = [];
    if (this.#inbox === undefined) {
      for (const datagram of datagrams) verdicts.push(this.machine.receive(datagram, 0, datagram.length, now));
      return verdicts;
    }
    const { arena, at } = this.#inbox;
    const { words, bytes } = runsOf(datagrams, at);
    arena.bytes.set(bytes, at);
    this.machine.runs?.set(words);
    this.machine.receiveRuns(words.length / 3, now, (batch) => {
      verdicts.push(...batch.verdicts);
      check(batch.count === datagrams.length, 'datagrams are told apart otherwise than they came');
      for (const [i, datagram] of datagrams.entries()) {
        const offset = batch.offsets[i] ?? 0;
        const tapped = batch.bytes.subarray(offset, offset + (batch.lengths[i] ?? 0));
        sameBytes(tapped, datagram, 'what is tapped and what came');
      }
    });
    return verdicts;
  }

  /** All that one can see. */
  state() {
    const { machine, spool } = this;
    const { verdicts, ...counters } = machine.counters;
    return {
      events: this.events,
      counters,
      verdicts: [...verdicts].sort(),
      held: machine.blockBytes,
      lost: machine.lost,
      highest: machine.highestLive,
      spool: [...spool.objects.keys()],
    };
  }

  /** Forgets all but the counts, so that the next story begins as this one did. */
  reset(now: number): void {
    this.machine.tick(now);
    for (const { info } of [...this.machine.objects()]) this.machine.forget(info.channel, spoolKey(info));
    this.events = [];
    this.spool.objects.clear();
  }
}

const arena = Arena.create(receiveArenaBytes(LIMITS) + BATCH_BYTES);
const plain = new Side();
const kernel = new Side(arena);
check(kernel.machine.runs !== undefined, 'there is no kernel: this runtime has no WebAssembly');
let epoch = 1000;
let now = SECOND;

/** FDT Instances are a few, and dear to write. */
const documents = new Map<string, Uint8Array>();

function documentOf(objects: readonly (typeof OBJECTS)[number][]): Uint8Array {
  const name = objects.map(({ toi }) => toi).join(' ');
  const files = objects.map(({ toi, digest, size, contentType }) => ({ toi, digest, length: size, contentType }));
  const known =
    documents.get(name) ?? encodeFdt({ expires: NTP + 9, maxBlock: B, symbolBytes: E, maxSymbols: 255, files });
  documents.set(name, known);
  return known;
}

/** The datagrams of one story, and who is sending. */
class Story {
  readonly sent: Uint8Array[] = [];
  waiting: Uint8Array[] = [];
  readonly #sns = new Map<number, number>();
  readonly #sessions = new Map<string, Authenticator | undefined>();
  #instance = 0;
  asid = 0;
  tsi = makeTsi('live', epoch);
  damage: ((datagram: Uint8Array) => void) | undefined;
  damageSigned = false;

  #sn(): number {
    const sn = (this.#sns.get(this.tsi) ?? 0) + 1;
    this.#sns.set(this.tsi, sn);
    return sn;
  }

  /** Goes on from a sequence number further on. */
  jump(by: number): void {
    this.#sns.set(this.tsi, (this.#sns.get(this.tsi) ?? 0) + by);
  }

  put(datagram: Uint8Array): void {
    this.sent.push(datagram);
    this.waiting.push(datagram);
    if (this.waiting.length >= RUNS_MAX) this.flush();
  }

  #sign(datagram: Uint8Array): void {
    const name = `${this.asid} ${this.tsi}`;
    if (!this.#sessions.has(name)) this.#sessions.set(name, keys[this.asid]?.session(this.tsi));
    this.#sessions.get(name)?.sign(datagram, TAG_OFFSET);
  }

  #finish(datagram: Uint8Array): void {
    if (this.damageSigned) this.damage?.(datagram);
    this.#sign(datagram);
    if (!this.damageSigned) this.damage?.(datagram);
    this.damage = undefined;
    this.put(datagram);
  }

  symbol(toi: number, sbn: number, esi: number, symbol: Uint8Array): void {
    const datagram = new Uint8Array(HEADER_BYTES + symbol.length);
    writeObjectHeader(datagram, 0, { tsi: this.tsi, toi, asid: this.asid, sn: this.#sn(), sbn, esi });
    datagram.set(symbol, HEADER_BYTES);
    this.#finish(datagram);
  }

  announce(objects: readonly (typeof OBJECTS)[number][]): void {
    const document = documentOf(objects);
    const size = E - (FDT_HEADER_BYTES - HEADER_BYTES);
    this.#instance += 1;
    for (let esi = 0; esi * size < document.length; esi += 1) {
      const datagram = new Uint8Array(HEADER_BYTES + E);
      const shape = { instanceId: this.#instance, transferLength: document.length, symbolBytes: size, maxBlock: 200 };
      const common = { tsi: this.tsi, asid: this.asid, sn: this.#sn(), sbn: 0, esi, ntpSeconds: NTP };
      writeFdtHeader(datagram, 0, { ...common, ...shape });
      datagram.set(document.subarray(esi * size, (esi + 1) * size), FDT_HEADER_BYTES);
      this.#finish(datagram);
    }
  }

  flush(): void {
    if (this.waiting.length === 0) return;
    const verdicts = plain.receive(this.waiting, now);
    same(kernel.receive(this.waiting, now), verdicts, 'verdicts of kernel and plain receiver');
    this.waiting = [];
  }
}

/** Sequence numbers left out: around the edges of the replay window. */
const JUMPS = [0, 1, 63, 65_533, 65_534, 65_535, 65_536, 200_000];

const STEPS: readonly ((story: Story, arg: number) => void)[] = [
  ...Array.from({ length: 3 }, () => (story: Story, arg: number) => {
    const object = OBJECTS[arg >> 6] ?? OBJECTS[0];
    const sbn = (arg >> 4) & 3;
    const symbols = object?.symbols[sbn] ?? new Uint8Array(16 * E);
    story.symbol(object?.toi ?? 9, sbn, arg & 15, symbols.subarray((arg & 15) * E, ((arg & 15) + 1) * E));
  }),
  // Mostly of one object: to read an FDT Instance costs more than all else of a story.
  (story, arg) =>
    story.announce(OBJECTS.filter((_, i) => i === (arg & 3) || (arg >= 128 && ((arg >> 2) >> i) % 2 === 1))),
  (story, arg) => {
    story.damageSigned = arg % 2 === 1;
    story.damage = (datagram) => {
      const at = (arg >> 1) % 72;
      if (at < datagram.length) datagram[at] = (datagram[at] ?? 0) ^ (1 << (arg % 8));
    };
  },
  (story, arg) => {
    const again = story.sent[arg % Math.max(1, story.sent.length)];
    if (again !== undefined) story.put(again.slice());
  },
  (story, arg) => {
    const cls = (['live', 'live', 'media', 'repair'] as const)[arg & 3] ?? 'live';
    story.tsi = makeTsi(cls, epoch - ((arg >> 2) & 1));
    story.asid = (arg >> 3) & 3;
    story.jump(JUMPS[arg >> 5] ?? 0);
  },
  (story, arg) => {
    if (arg < 128) return story.flush();
    // A length that is none of the session's; nothing at all; a symbol of a TOI that nobody names.
    if (arg < 192) return story.symbol(2, 0, 0, new Uint8Array(E + 16 * (arg & 3)));
    story.put(arg < 224 ? new Uint8Array(arg & 31).fill(0x10) : new Uint8Array(HEADER_BYTES + E).fill(arg));
  },
];

function run(input: Uint8Array): void {
  epoch += 2;
  now += 20 * SECOND;
  plain.reset(now);
  kernel.reset(now);
  const story = new Story();
  for (let at = 0; at + 1 < input.length; at += 2) STEPS[(input[at] ?? 0) % STEPS.length]?.(story, input[at + 1] ?? 0);
  story.flush();
  same(kernel.state(), plain.state(), 'state of kernel and plain receiver');
  for (const [key, { bytes, stored }] of plain.spool.objects) {
    const other = kernel.spool.objects.get(key);
    sameBytes(other?.stored ?? new Uint8Array(), stored, 'blocks that are whole');
    sameBytes(other?.bytes ?? new Uint8Array(), bytes, 'bytes of blocks');
  }
}

const FLUSH = [7, 0];
const symbols = (object: number, sbn: number, esis: readonly number[]): number[] =>
  esis.flatMap((esi) => [0, (object << 6) | (sbn << 4) | esi]);
const upTo = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i);

/** Numbers left out, at the edges of the window. */
function* jumps(): Generator<Uint8Array> {
  for (const jump of upTo(8))
    yield Uint8Array.from([0, 1, ...FLUSH, 0, 2, 6, jump << 5, 0, 3, 5, 0, 5, 1, ...FLUSH, 5, 0, 5, 2]);
}

function* crowds(named: readonly number[], all: readonly number[]): Generator<Uint8Array> {
  // Documents that never become whole push one another out; so do TOIs, and documents long read.
  yield Uint8Array.from([...upTo(4).flatMap((i) => [4, 90, 3, i]), ...FLUSH, ...named]);
  yield Uint8Array.from([...named, 6, 8, ...named, 6, 0, ...upTo(70).flatMap((i) => [3, i & 3]), ...FLUSH]);
  yield Uint8Array.from([
    ...named,
    ...symbols(0, 0, upTo(9)),
    ...symbols(2, 0, upTo(16)),
    ...FLUSH,
    ...symbols(2, 1, all),
  ]);
  yield Uint8Array.from(upTo(8).flatMap((i) => [6, (i << 3) & 255, 3, i, 0, i, ...FLUSH]));
}

function* seeds(): Generator<Uint8Array> {
  const named = [3, 0b10011100, ...FLUSH];
  const all = upTo(16).map((i) => i & 15);
  yield Uint8Array.from([...named, ...symbols(0, 0, upTo(8)), ...FLUSH, ...symbols(0, 1, upTo(8, 3)), ...FLUSH]);
  yield Uint8Array.from([...named, ...symbols(2, 0, all), ...symbols(2, 1, all), ...FLUSH, ...symbols(2, 2, all)]);
  yield Uint8Array.from([
    ...symbols(0, 0, upTo(6)),
    ...FLUSH,
    ...named,
    ...symbols(0, 0, upTo(16)),
    ...FLUSH,
    5,
    3,
    5,
    4,
  ]);
  yield Uint8Array.from([
    ...named,
    ...symbols(0, 0, upTo(4)),
    4,
    90,
    ...symbols(0, 0, upTo(4, 4)),
    ...FLUSH,
    4,
    91,
    0,
    1,
  ]);
  yield Uint8Array.from([...named, 6, 9, ...named, ...symbols(0, 0, all), ...FLUSH, 6, 2, 3, 0, ...symbols(1, 0, [0])]);
  yield Uint8Array.from([
    ...named,
    6,
    64,
    0,
    1,
    6,
    224,
    0,
    1,
    0,
    2,
    ...FLUSH,
    6,
    4,
    0,
    3,
    7,
    130,
    7,
    200,
    7,
    230,
    7,
    192,
  ]);
  yield Uint8Array.from([
    ...named,
    ...symbols(3, 0, [0, 0, 1]),
    ...FLUSH,
    3,
    0b10010000,
    ...symbols(3, 1, [2]),
    0,
    0x7f,
  ]);
  yield Uint8Array.from([...named, ...upTo(20).flatMap(() => [4, 89, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, ...FLUSH])]);
  yield* jumps();
  yield* crowds(named, all);
}

export const target: FuzzTarget = {
  about: 'batches through the kernel: the same verdicts, blocks and counts as one datagram after the other',
  files: ['kernel', 'cache', 'window', 'fdt', 'session'].map((name) => `packages/transfer/src/receive/${name}.ts`),
  elsewhere: ['packages/alc', 'packages/fec', 'packages/testkit', 'packages/trust'],
  bytesMax: 48,
  run,
  seeds,
};
