import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeObject } from './input.ts';
import { loopback } from './net.ts';
import { diskType } from './procfs.ts';
import { FAST, ROBUST, parseSetting } from './settings.ts';
import { carryOnce } from './sluice.ts';
import { parseBytes, MIB } from './stats.ts';

const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== '--'),
  options: {
    dir: { type: 'string', default: '/var/tmp' },
    size: { type: 'string', default: '1GiB' },
    only: { type: 'string' },
    set: { type: 'string', multiple: true, default: [] },
    keep: { type: 'boolean', default: false },
  },
});
console.error(diskType(values.dir));
const base = mkdtempSync(join(values.dir, 'sluice-bench-'));
const result = await carryOnce({
  dir: join(base, 'run'),
  keysFrom: undefined,
  net: loopback(),
  settings: values.only === 'loopback.robust' ? ROBUST : FAST,
  byHand: values.set.map(parseSetting),
  make: (directory) => makeObject(directory, parseBytes(values.size)),
  warmUp: 16 * MIB,
  keep: values.keep,
});
console.log(result);
if ('carried' in result && !values.keep) rmSync(base, { recursive: true });
