import { History, type Rates } from '@sluice/chassis';
import type { Digest, LinkKeyNote, LinkToReceiver } from '@sluice/ports';
import type { Heartbeat } from './heartbeat.ts';

type Message<T extends LinkToReceiver['type']> = LinkToReceiver & { readonly type: T };

/** Objects whose progress is remembered. */
const PROGRESS_MAX = 1000;
/** Alarms that are remembered, latest of each code. */
const ALARMS_MAX = 32;
/** Objects whose margin is judged, and seconds of which the rates are known. */
const TIGHT_OBJECTS = 100;
const HISTORY_STEPS = 300;
/** Bytes on the fibre around an encoding symbol: ALC header 44, UDP 8, IPv4 20, Ethernet 38 with gap and preamble. */
const AROUND_SYMBOL = 110;
/** Bytes of socket buffer that the kernel counts for a datagram of one page or less, and for each byte of a longer one. */
const KERNEL_DATAGRAM = 2304;
const KERNEL_BYTE = 2;

/** What link last said of itself and of the other side. Times are milliseconds of uptime. */
export class LinkState {
  #hello: Message<'hello'> | undefined;
  #status: Message<'status'> | undefined;
  #statusAt: number | undefined;
  #authentic = 0;
  readonly #heartbeats = new Map<
    string,
    { readonly heartbeat: Heartbeat; readonly at: number; readonly known: number; readonly wentBack: boolean }
  >();
  readonly #progress = new Map<Digest, Message<'progress'>>();
  readonly #alarms = new Map<string, { readonly detail: string; readonly at: number }>();
  /** Fewest symbols beyond need of the blocks of each whole object, latest last: how close it was. */
  readonly margins: number[] = [];
  /** The same of objects of which something was lost and repaired. */
  readonly #tight: number[] = [];
  readonly #history = new History(2, HISTORY_STEPS);
  #symbolBytes: number | undefined;
  #dataAt: number | undefined;

  hello(message: Message<'hello'>): void {
    this.#hello = message;
  }

  status(message: Message<'status'>): void {
    this.#status = message;
    this.#statusAt = performance.now();
    const before = this.#authentic;
    this.#authentic = (message.verdicts.accepted ?? 0) + (message.verdicts.surplus ?? 0);
    if (this.#authentic !== before && this.#authentic > 0) this.#dataAt = performance.now();
    this.#history.sample([this.#authentic, message.numbers.lost ?? 0]);
  }

  /** A whole object: its name in the spool says how long symbols are (PROTOCOL.md O-1). */
  object(key: string): void {
    const symbolBytes = Number(key.split('-')[2]);
    if (Number.isSafeInteger(symbolBytes) && symbolBytes > 0) this.#symbolBytes = symbolBytes;
  }

  /** @param known greatest number of the channel that is known here by now */
  heartbeat(channel: string, heartbeat: Heartbeat, known = heartbeat.sequence): void {
    // Statements may be ahead of heartbeats, but not by a whole one.
    const before = this.#heartbeats.get(channel)?.known ?? 0;
    const wentBack = heartbeat.sequence < before;
    this.#heartbeats.set(channel, { heartbeat, at: performance.now(), known, wentBack });
  }

  /** True while the sender counts less far than is known here: its ledger is an older one. */
  wentBack(channel: string): boolean {
    return this.#heartbeats.get(channel)?.wentBack ?? false;
  }

  progress(message: Message<'progress'>): void {
    this.#progress.delete(message.digest);
    if (message.stored < message.blocks) this.#progress.set(message.digest, message);
    for (const oldest of this.#progress.keys()) {
      if (this.#progress.size <= PROGRESS_MAX) break;
      this.#progress.delete(oldest);
    }
  }

  margin({ worst, recovered }: Message<'margin'>): void {
    if (recovered > 0) this.#tight.push(worst);
    if (this.#tight.length > TIGHT_OBJECTS) this.#tight.shift();
    this.margins.push(worst);
    if (this.margins.length > PROGRESS_MAX) this.margins.shift();
  }

  alarm(code: string, detail: string): void {
    if (this.#alarms.size < ALARMS_MAX || this.#alarms.has(code))
      this.#alarms.set(code, { detail, at: performance.now() });
  }

  /** Milliseconds since link last said how it is; undefined before the first time. */
  get silentMs(): number | undefined {
    return this.#statusAt === undefined ? undefined : performance.now() - this.#statusAt;
  }

  /** Milliseconds since authentic datagrams came, as far as link has told; undefined before the first. */
  get dataAge(): number | undefined {
    return this.#dataAt === undefined ? undefined : performance.now() - this.#dataAt;
  }

  /** Symbols beyond need of the middle one of the latest objects that had to be repaired; undefined when there were too few. */
  get tightness(): number | undefined {
    return this.#tight.length < 5 ? undefined : this.#tight.toSorted((a, b) => a - b)[this.#tight.length >> 1];
  }

  /** Receive buffer that is there, and what the highest rate of late and link's longest pause of late want, bytes. */
  get receiveBuffer(): { readonly bytes: number; readonly wanted: number } | undefined {
    const bytes = this.#hello?.receiveBuffer;
    if (bytes === undefined) return undefined;
    const pause = this.numbers.worstPauseMs ?? 0;
    const datagrams = (Math.max(0, ...this.#history.series(0)) * pause) / 1000;
    const each = Math.max(KERNEL_DATAGRAM, ((this.#symbolBytes ?? 0) + AROUND_SYMBOL) * KERNEL_BYTE);
    return { bytes, wanted: Math.ceil(datagrams * each) };
  }

  get rates(): Rates {
    const datagrams = this.#history.series(0);
    const bits = (this.#symbolBytes ?? 0) + AROUND_SYMBOL;
    const known = this.#symbolBytes !== undefined;
    const lost = this.#history.series(1);
    const [came, went] = [datagrams, lost].map((series) => series.reduce((sum, each) => sum + each, 0)) as [
      number,
      number,
    ];
    return {
      stepSeconds: 1,
      unit: known ? 'bit/s' : 'datagrams/s',
      carried: known ? datagrams.map((each) => each * bits * 8) : datagrams,
      lost,
      ...(came + went === 0 ? {} : { lostShare: went / (came + went) }),
    };
  }

  /** How far an object under way is, 0 to 1. */
  share(digest: Digest): number {
    const progress = this.#progress.get(digest);
    return progress === undefined ? 0 : progress.stored / progress.blocks;
  }

  /** Milliseconds since the last authentic heartbeat of a channel; undefined before the first. */
  heartbeatAge(channel: string): number | undefined {
    const last = this.#heartbeats.get(channel);
    return last === undefined ? undefined : performance.now() - last.at;
  }

  heartbeatOf(channel: string): (Heartbeat & { readonly ageMs: number }) | undefined {
    const last = this.#heartbeats.get(channel);
    return last === undefined ? undefined : { ...last.heartbeat, ageMs: Math.round(performance.now() - last.at) };
  }

  /** The time of a channel's sender, by its last heartbeat and our uptime since: Unix seconds. */
  senderSeconds(channel: string): number | undefined {
    const last = this.#heartbeats.get(channel);
    return last === undefined ? undefined : last.heartbeat.seconds + Math.floor((performance.now() - last.at) / 1000);
  }

  /** Alarms raised since the start, latest of each code. */
  get alarms(): readonly { readonly code: string; readonly detail: string; readonly ageMs: number }[] {
    return [...this.#alarms].map(([code, { detail, at }]) => ({
      code,
      detail,
      ageMs: Math.round(performance.now() - at),
    }));
  }

  get numbers(): Readonly<Record<string, number>> {
    return this.#status?.numbers ?? {};
  }

  get verdicts(): Readonly<Record<string, number>> {
    return this.#status?.verdicts ?? {};
  }

  /** Link's keys, and how many authentic datagrams came by each since it started. */
  get keys(): readonly (LinkKeyNote & { readonly datagrams: number })[] {
    return this.#hello?.keys?.map((key) => ({ ...key, datagrams: this.#status?.keys?.[key.id] ?? 0 })) ?? [];
  }

  view(): unknown {
    return {
      io: this.#hello?.io,
      receiveBuffer: this.#hello?.receiveBuffer,
      session: this.#status?.tsi,
      silentMs: this.silentMs,
      numbers: this.numbers,
      verdicts: this.verdicts,
      stageNs: this.#status?.stageNs ?? {},
      alarms: this.alarms,
      keys: this.keys,
      progress: [...this.#progress.values()].map(({ digest, size, blocks, stored }) => ({
        digest,
        size,
        blocks,
        stored,
      })),
    };
  }
}
