import { ImporterLedger } from '@sluice/ledger';
import { expect, it } from 'vitest';
import { digest, newPath } from './ledgers.ts';

it('a tag never goes back to an older bundle, channel by channel', () => {
  const path = newPath();
  const ledger = new ImporterLedger(path);
  expect(ledger.tagSequence('library/box', '1', 'prod')).toBe(0);
  ledger.recordTag('library/box', '1', 'prod', 5, digest('five'));
  ledger.recordTag('library/box', '1', 'prod', 3, digest('three'));
  expect(ledger.tagSequence('library/box', '1', 'prod')).toBe(5);
  ledger.recordTag('library/box', '1', 'prod', 5, digest('five'));
  ledger.recordTag('library/box', '1', 'prod', 6, digest('six'));
  ledger.recordTag('library/box', '2', 'prod', 1, digest('one'));
  ledger.recordTag('library/box', '1', 'test', 1, digest('one'));
  ledger.close();
  const again = new ImporterLedger(path);
  const sequences = [
    ['library/box', '1', 'prod'],
    ['library/box', '2', 'prod'],
    ['library/box', '1', 'test'],
    ['library/other', '1', 'prod'],
  ] as const;
  expect(sequences.map(([repository, tag, channel]) => again.tagSequence(repository, tag, channel))).toEqual([
    6, 1, 1, 0,
  ]);
  again.close();
});

it('a bundle that is imported twice is one bundle and two entries', () => {
  const ledger = new ImporterLedger(newPath());
  expect(ledger.imported(digest('a'))).toBe(false);
  ledger.recordImported(digest('a'), 'prod', 1);
  ledger.recordImported(digest('a'), 'prod', 1);
  expect(ledger.imported(digest('a'))).toBe(true);
  expect(ledger.events.about(digest('a'))).toHaveLength(2);
  expect(ledger.events.verify().ok).toBe(true);
  ledger.close();
});
