import { describe, expect, it } from 'vitest';
import { encodeHistory, type History, HISTORY_BUNDLES, parseHistory } from '../src/history.ts';
import { codeOf, digestOf, json, utf8, valueOf } from './samples.ts';

const entry = (sequence: number) => ({
  sequence,
  bundle: digestOf(utf8(`bundle ${sequence}`)),
  name: `release ${sequence}`,
  bytes: sequence * 10,
});
const history = (...sequences: readonly number[]): History => ({ channel: 'prod', bundles: sequences.map(entry) });

/** The spelling of a history with one part of it changed. */
function changed(change: (document: Record<string, unknown>) => void): Uint8Array {
  const document = JSON.parse(Buffer.from(encodeHistory(history(7, 8))).toString()) as Record<string, unknown>;
  change(document);
  return json(document);
}

describe('a history', () => {
  it('is read as it was written, and its bytes follow from the list alone', () => {
    expect(valueOf(parseHistory(encodeHistory(history(7, 8, 9))))).toEqual(history(7, 8, 9));
    expect(encodeHistory(history(7, 8))).toEqual(encodeHistory(structuredClone(history(7, 8))));
  });

  it('is refused empty, too long, with a gap, or when its subject is another list', () => {
    const many = Array.from({ length: HISTORY_BUNDLES + 1 }, (_, i) => i + 1);
    expect(codeOf(parseHistory(encodeHistory(history(...many.slice(1)))))).toBe('ok');
    for (const sequences of [[], many, [1, 3], [2, 1], [4, 4]]) {
      expect(codeOf(parseHistory(encodeHistory(history(...sequences))))).toBe('statement-malformed');
    }
    const others = [
      changed((document) => (document.subject as unknown[]).pop()),
      changed((document) => (document.subject as unknown[]).reverse()),
      changed((document) => ((document.subject as { name: string }[])[0]!.name = '6')),
    ];
    for (const bytes of others) expect(codeOf(parseHistory(bytes))).toBe('statement-malformed');
    expect(codeOf(parseHistory(changed((document) => (document.predicateType = 'urn:sluice:release:v1'))))).toBe(
      'predicate-type',
    );
  });
});
