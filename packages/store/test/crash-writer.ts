// A process to be killed: stores blobs of a test in one batch. Arguments: root of the store, number of blobs, or of packs and where they are written first.
import { openFsStore } from '@sluice/store';
import { blobOf, packOf } from './blobs.ts';

const [root = '', count = '0', packs] = process.argv.slice(2);
const store = await openFsStore(root, 'tester');
console.log('open');
const all = Array.from({ length: Number(count) }, (_, i) => i);
if (packs === undefined) await store.putMany(all.map((i) => blobOf(1000, i)));
else for (const i of all) await store.putPacks([packOf(packs, i * 10, i * 10 + 20)]);
console.log('stored');
