// Seals bundles as fast as it can and prints the number of each once it is durable, until it is killed.
import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { SenderLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';

const digest = (name: string): Digest => `sha256:${createHash('sha256').update(name).digest('hex')}`;
const ledger = new SenderLedger(process.argv[2] ?? '');
for (;;) {
  const next = ledger.head('prod').sequence + 1;
  const { sequence } = ledger.sealBundle({
    channel: 'prod',
    source: `input ${String(next)}`,
    name: 'a bundle',
    release: digest('release'),
    releaseSize: 1,
    objects: [],
    bytes: 1,
    make: (number) => ({ id: digest(`bundle ${String(number)}`), envelope: Buffer.alloc(2000, number) }),
  });
  writeSync(1, `${String(sequence)}\n`);
}
