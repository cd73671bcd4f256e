import { HEADER_BYTES, readSn, readTsi } from '@sluice/alc';
import { DATAGRAM_CODES, type Verdict } from '@sluice/ports';

/** Verdicts of datagrams whose tag was not checked or did not hold, or whose number was known. */
const NO_NEWS: readonly Verdict[] = [
  'too-short',
  'too-long',
  'not-lct-1',
  'bad-header',
  'bad-extension',
  'unknown-class',
  'unknown-asid',
  'key-ended',
  'old-session',
  'replayed',
  'bad-tag',
  'bad-length',
  'bad-esi',
];
const VERDICTS: ReadonlySet<string> = new Set<Verdict>(['accepted', 'surplus', ...DATAGRAM_CODES]);

/** The verdict in a comment of a chunk log. */
export const recordedVerdict = (comment: string | undefined): Verdict | undefined =>
  comment !== undefined && VERDICTS.has(comment) ? (comment as Verdict) : undefined;

/** True when link found the datagram authentic and new. */
export const wasAuthentic = (verdict: Verdict | undefined): boolean =>
  verdict !== undefined && !NO_NEWS.includes(verdict);

/** What can be told of datagrams whose headers alone were kept: link's word, and gaps in their sequence numbers. */
export class HeaderTally {
  readonly verdicts = new Map<string, number>();
  readonly #sessions = new Map<number, { lowest: number; highest: number; count: number }>();

  add(header: Uint8Array, verdict: Verdict | undefined): void {
    const name = verdict ?? 'unrecorded';
    this.verdicts.set(name, (this.verdicts.get(name) ?? 0) + 1);
    if (!wasAuthentic(verdict) || header.length < HEADER_BYTES) return;
    const [tsi, sn] = [readTsi(header, 0), readSn(header, 0)];
    const session = this.#sessions.get(tsi) ?? { lowest: sn, highest: sn, count: 0 };
    session.lowest = Math.min(session.lowest, sn);
    session.highest = Math.max(session.highest, sn);
    session.count += 1;
    this.#sessions.set(tsi, session);
  }

  get lost(): number {
    let lost = 0;
    for (const { lowest, highest, count } of this.#sessions.values()) lost += highest - lowest + 1 - count;
    return lost;
  }
}
