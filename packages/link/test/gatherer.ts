// Hands the blocks that a spool lacks of one object to it in bursts, prints how many are on disk after each, and goes on at
// once, until it is killed. The object's last block is never given.
import { writeSync } from 'node:fs';
import { partition } from '@sluice/fec';
import { FileSpool } from '../src/spool.ts';
import { bit, bytesOf, hand, LIMITS, objectOf } from './samples.ts';

const [, , root = '', size] = process.argv;
const BURST = 40;
const bytes = bytesOf('gathered', Number(size));
const info = objectOf(bytes);
const { blocks } = partition(info.size, info.symbolBytes, info.maxBlock);
const fail = (): void => process.exit(1);
const spool = new FileSpool(root, ['prod'], LIMITS, {
  onWhole: fail,
  onGrown: () => undefined,
  onLost: fail,
  onAlarm: fail,
});
const opened = spool.open(info);
if (typeof opened === 'string') throw new Error(opened);
const order = Array.from({ length: blocks - 1 }, (_, sbn) => sbn).filter((sbn) => !bit(opened.stored, sbn));
for (let given = 0; given < order.length; given += BURST) {
  // One at a time, so that blocks come while the ones before are on their way to the disk.
  for (const wanted of order.slice(given, given + BURST)) {
    hand(spool, info, bytes, (sbn) => sbn === wanted);
    await new Promise((resolve) => setImmediate(resolve));
  }
  while (spool.volatileBytes > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  writeSync(1, `${String(blocks - 1 - order.length + Math.min(given + BURST, order.length))}\n`);
}
