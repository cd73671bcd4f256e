import type { Digest, LinkToReceiver } from '@sluice/ports';
import type { Heartbeat } from './heartbeat.ts';

type Message<T extends LinkToReceiver['type']> = LinkToReceiver & { readonly type: T };

/** Objects whose progress is remembered. */
const PROGRESS_MAX = 1000;
/** Alarms that are remembered, latest of each code. */
const ALARMS_MAX = 32;

/** What link last said of itself and of the other side. Times are milliseconds of uptime. */
export class LinkState {
  #hello: Message<'hello'> | undefined;
  #status: Message<'status'> | undefined;
  #statusAt: number | undefined;
  readonly #heartbeats = new Map<string, { readonly heartbeat: Heartbeat; readonly at: number }>();
  readonly #progress = new Map<Digest, Message<'progress'>>();
  readonly #alarms = new Map<string, { readonly detail: string; readonly at: number }>();
  /** Fewest symbols beyond need of the blocks of each whole object, latest last: how close it was. */
  readonly margins: number[] = [];

  hello(message: Message<'hello'>): void {
    this.#hello = message;
  }

  status(message: Message<'status'>): void {
    this.#status = message;
    this.#statusAt = performance.now();
  }

  heartbeat(channel: string, heartbeat: Heartbeat): void {
    this.#heartbeats.set(channel, { heartbeat, at: performance.now() });
  }

  progress(message: Message<'progress'>): void {
    this.#progress.delete(message.digest);
    if (message.stored < message.blocks) this.#progress.set(message.digest, message);
    for (const oldest of this.#progress.keys()) {
      if (this.#progress.size <= PROGRESS_MAX) break;
      this.#progress.delete(oldest);
    }
  }

  margin({ worst }: Message<'margin'>): void {
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

  /** Milliseconds since the last authentic heartbeat of a channel; undefined before the first. */
  heartbeatAge(channel: string): number | undefined {
    const last = this.#heartbeats.get(channel);
    return last === undefined ? undefined : performance.now() - last.at;
  }

  heartbeatOf(channel: string): (Heartbeat & { readonly ageMs: number }) | undefined {
    const last = this.#heartbeats.get(channel);
    return last === undefined ? undefined : { ...last.heartbeat, ageMs: Math.round(performance.now() - last.at) };
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
      progress: [...this.#progress.values()].map(({ digest, size, blocks, stored }) => ({
        digest,
        size,
        blocks,
        stored,
      })),
    };
  }
}
