// A process to be killed: stores blobs of a test in one batch. Arguments: root of the store, number of blobs.
import { openFsStore } from '@sluice/store';
import { blobOf } from './blobs.ts';

const [root = '', count = '0'] = process.argv.slice(2);
const store = await openFsStore(root, 'tester');
console.log('open');
await store.putMany(Array.from({ length: Number(count) }, (_, i) => blobOf(1000, i)));
console.log('stored');
