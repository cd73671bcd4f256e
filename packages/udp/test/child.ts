// Reads datagrams from descriptor 3 and prints what it saw, and which native add-ons lie in its memory.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type LinkIo, openSource } from '../src/index.ts';
import { Collector } from './ends.ts';

const [, , io, count] = process.argv;
const source = await openSource({ fd: 3 }, io as LinkIo);
const collector = new Collector();
source.start(collector.take);
await collector.until(Number(count));
const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
const addons = maps.map((line) => basename(line)).filter((name) => name.endsWith('.node') || name.includes('koffi'));
console.log(
  JSON.stringify({
    numbers: collector.numbers,
    port: source.port,
    receiveBuffer: source.receiveBuffer(),
    drops: source.kernelDrops(),
    nativeCode: [...new Set(addons)],
  }),
);
await source.close();
