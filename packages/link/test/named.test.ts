import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { spoolKey } from '@sluice/transfer';
import { expect, it } from 'vitest';
import { BLOCK_BYTES, bytesOf, objectOf } from './samples.ts';
import { scratch, Told, until } from './tools.ts';

it('what fails once an object has its name raises an alarm, and the object is whole', async () => {
  const root = scratch();
  const told = new Told(root);
  const bytes = bytesOf('named', BLOCK_BYTES);
  const info = objectOf(bytes);
  // In the place of its map is what cannot be removed as a file.
  mkdirSync(join(root, 'prod', `${spoolKey(info)}.blob.map`));
  told.take(info, bytes);
  await until(() => told.whole.length + told.lost.length > 0);
  expect([told.lost, told.alarms]).toEqual([[], ['spool-io']]);
  expect(told.contents()).toEqual([info.digest]);
  expect(told.spool.open(info)).toBe('complete');
});
