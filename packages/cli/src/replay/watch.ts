import { classify, readEsi, readSbn, readSn, readToi, readTsi } from '@sluice/alc';
import { ethernetBytes, type ObjectInfo } from '@sluice/transfer';
import type { Verdict } from '@sluice/ports';
import { wasAuthentic } from '../replay-headers.ts';
import { BlockWatch, type BlockSums } from './blocks.ts';
import { SequenceWatch } from './sequence.ts';
import { type Step, Timeline } from './timeline.ts';

const HEARTBEAT_TYPE = 'application/vnd.sluice.heartbeat+json';

export interface Watched {
  readonly stepNs: number;
  readonly steps: readonly Step[];
  /** Runs of lost datagrams by length. */
  readonly bursts: ReadonlyMap<number, number>;
  readonly late: number;
  readonly tooLate: number;
  readonly duplicates: number;
  readonly blocks: BlockSums;
}

/** Sees every datagram of a replay with its verdict, and sums up what the report shows. */
export class Watch {
  readonly #timeline = new Timeline();
  readonly #sessions = new Map<number, SequenceWatch>();
  readonly #bursts = new Map<number, number>();
  readonly #blocks = new BlockWatch();
  #duplicates = 0;

  named(tsi: number, toi: number, info: ObjectInfo): void {
    // A heartbeat is a block of one symbol, once a second: it would stand for everything else.
    if (info.contentType !== HEARTBEAT_TYPE) this.#blocks.named(tsi, toi, info);
  }

  /** @param ns nanoseconds since 1970 */
  datagram(payload: Uint8Array, verdict: Verdict, ns: number): void {
    this.#timeline.add(ns, 'bytes', ethernetBytes(payload.length));
    this.#timeline.add(ns, verdict);
    if (verdict === 'replayed') this.#duplicates += 1;
    if (!wasAuthentic(verdict)) return;
    const tsi = readTsi(payload, 0);
    const session = this.#sessions.get(tsi) ?? this.#open(tsi);
    const late = session.late;
    session.add(readSn(payload, 0), ns);
    if (session.late > late) this.#timeline.add(ns, 'late');
    if (classify(payload, 0, payload.length) === 'object') {
      this.#blocks.symbol(tsi, readToi(payload, 0), readSbn(payload, 0), readEsi(payload, 0));
    }
  }

  end(): Watched {
    for (const session of this.#sessions.values()) session.end();
    const sum = (of: (session: SequenceWatch) => number): number =>
      [...this.#sessions.values()].reduce((total, session) => total + of(session), 0);
    return {
      stepNs: this.#timeline.stepNs,
      steps: this.#timeline.steps(),
      bursts: this.#bursts,
      late: sum(({ late }) => late),
      tooLate: sum(({ tooLate }) => tooLate),
      duplicates: this.#duplicates,
      blocks: this.#blocks.end(),
    };
  }

  #open(tsi: number): SequenceWatch {
    const session = new SequenceWatch({
      onBurst: (length, ns) => {
        this.#bursts.set(length, (this.#bursts.get(length) ?? 0) + 1);
        this.#timeline.add(ns, 'lost', length);
      },
    });
    this.#sessions.set(tsi, session);
    return session;
  }
}
