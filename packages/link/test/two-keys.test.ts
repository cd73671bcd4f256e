import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { FileSpool } from '../src/spool.ts';
import { BLOCK_BYTES, bytesOf, digestOf, LIMITS, objectOf } from './samples.ts';
import { scratch, Told, until } from './tools.ts';

it('a channel with two keys keeps what it has over a restart', async () => {
  const root = scratch();
  const bytes = bytesOf('whole', 3 * BLOCK_BYTES);
  const before = new Told(root);
  before.take(objectOf(bytes), bytes);
  await until(() => before.whole.length === 1);
  await before.spool.close();
  const none = (): void => undefined;
  const after = new FileSpool(root, ['prod', 'prod'], LIMITS, {
    onWhole: none,
    onGrown: none,
    onLost: none,
    onAlarm: none,
  });
  expect([...after.whole()].map(({ path }) => digestOf(readFileSync(path)))).toEqual([digestOf(bytes)]);
});
