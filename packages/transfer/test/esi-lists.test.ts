import { PROFILES } from '@sluice/fec';
import { expect, it } from 'vitest';
import { blocksOf } from '../src/send/framer.ts';

const settings = {
  symbolBytes: 1408,
  profile: PROFILES.robust,
  outageMs: 0,
  groupBytes: 2 ** 20,
  rate: Infinity,
  statementLeadMs: 0,
};

/** The list of ESIs that a block of k symbols leaves with in a run. */
function listOf(k: number, run: number): Uint8Array | undefined {
  const object = {
    digest: 'sha256:0' as const,
    size: k * settings.symbolBytes,
    contentType: 'application/octet-stream' as const,
  };
  return [...blocksOf(object, 1, run, settings)][0]?.esis;
}

it('has one list of ESIs for all blocks of a length, since the codec knows it by its identity', () => {
  expect(listOf(40, 0)).toBe(listOf(40, 0));
  expect(listOf(40, 1)).not.toBe(listOf(40, 0));
});

it('keeps few of them, whatever lengths come: a coefficient for each of their symbols hangs on them', () => {
  const first = listOf(40, 0);
  for (let k = 1; k < 40; k += 1) listOf(k, 7);
  expect(listOf(40, 0)).not.toBe(first);
  expect(listOf(40, 0)).toEqual(first);
});
