import type { Digest, Result } from '@sluice/ports';
import { countAt, digestAt, fail, listAt, objectAt, reading, textAt } from './fields.ts';
import { encodeStatement, readStatement } from './statement.ts';

/** Most bundles in one list, and the longest envelope of one (docs/PROTOCOL.md H-2). */
export const HISTORY_BUNDLES = 100;
export const HISTORY_BYTES = 64 * 1024;

/** One bundle as its sender remembers it. */
export interface HistoryEntry {
  readonly sequence: number;
  /** Bundle id: digest of the transport envelope. */
  readonly bundle: Digest;
  /** Name of its release. */
  readonly name: string;
  /** Bytes of content. */
  readonly bytes: number;
}

/** The latest bundles of a channel (docs/PROTOCOL.md section 7). Nothing in it changes until the next bundle is sealed. */
export interface History {
  readonly channel: string;
  /** Newest last, numbers without a gap. */
  readonly bundles: readonly HistoryEntry[];
}

/** The list in its one spelling (B-13). */
export function encodeHistory({ channel, bundles }: History): Uint8Array {
  const subject = bundles.map(({ sequence, bundle }) => ({ name: String(sequence), digest: bundle }));
  const list = bundles.map(({ sequence, bundle, name, bytes }) => ({ sequence, bundle, name, bytes }));
  return encodeStatement('history', subject, { channel, bundles: list });
}

/** Refuses what the JSON parser refuses, `statement-malformed`, `predicate-type`, `digest-algorithm`. */
export function parseHistory(payload: Uint8Array): Result<History> {
  return reading(() => {
    const { subject, predicate } = readStatement(payload, 'history');
    const fields = objectAt(predicate, 'predicate', ['channel', 'bundles']);
    const bundles = listAt(fields.bundles, 'bundles').map((item, i) => {
      const where = `bundles[${String(i)}]`;
      const { sequence, bundle, name, bytes } = objectAt(item, where, ['sequence', 'bundle', 'name', 'bytes']);
      return {
        sequence: countAt(sequence, `${where}.sequence`, 1),
        bundle: digestAt(bundle, `${where}.bundle`),
        name: textAt(name, `${where}.name`),
        bytes: countAt(bytes, `${where}.bytes`),
      };
    });
    if (bundles.length === 0 || bundles.length > HISTORY_BUNDLES) {
      fail('statement-malformed', `a history has 1 to ${String(HISTORY_BUNDLES)} bundles`);
    }
    const first = bundles[0]?.sequence ?? 0;
    if (bundles.some(({ sequence }, i) => sequence !== first + i)) {
      fail('statement-malformed', 'the numbers of a history have a gap');
    }
    const same = bundles.every(({ sequence, bundle }, i) => {
      const { name, digest } = subject[i] ?? {};
      return name === String(sequence) && digest === bundle;
    });
    if (!same || subject.length !== bundles.length) fail('statement-malformed', 'the subject is not the list');
    return { channel: textAt(fields.channel, 'channel'), bundles };
  });
}
