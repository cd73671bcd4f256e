// One run of the transmit worker: node pacing-sender.ts HOST PORT RATE SECONDS DIRECTORY. Prints what it counted, as JSON.
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '@sluice/ports';
import type { TransmitStatus } from '../../packages/sender/src/transmit/messages.ts';
import { TransmitWorker } from '../../packages/sender/src/transmit/transmitter.ts';

const [host = '', port = '', rate = '', seconds = '', directory = ''] = process.argv.slice(2);
const PIECE_BYTES = 2 ** 20;
/** Of the link time, what carries content. */
const SHARE = 0.84;

/** A file of so many bytes in the staging store: one random megabyte again and again. */
function store(bytes: number) {
  const piece = randomBytes(PIECE_BYTES);
  const content = Buffer.concat(Array.from({ length: Math.ceil(bytes / PIECE_BYTES) }, () => piece)).subarray(0, bytes);
  const hex = createHash('sha256').update(content).digest('hex');
  mkdirSync(join(directory, 'blobs/sha256'), { recursive: true });
  writeFileSync(join(directory, 'blobs/sha256', hex), content);
  const digest: Digest = `sha256:${hex}`;
  return { digest, size: bytes, contentType: 'application/octet-stream' } as const;
}

const object = store(Math.ceil((Number(rate) / 8) * Number(seconds) * SHARE));
const statement = store(3000);
let status: TransmitStatus | undefined;
const worker = new TransmitWorker(
  {
    host,
    port: Number(port),
    io: 'auto',
    rate: Number(rate),
    symbolBytes: 1408,
    profile: { name: 'robust', maxBlock: 200, repair: 20 },
    outageMs: 20,
    groupBytes: 64 * 2 ** 20,
    statementLeadMs: 20,
    keys: [{ asid: 0, channel: 'prod', algorithm: 'HMAC-SHA-256-128', key: new Uint8Array(32).fill(7) }],
    tsi: 1000,
    storeRoot: directory,
  },
  (message) => {
    if (message.type === 'status') status = message.status;
    else if (message.type === 'pass-failed') throw new Error(message.reason);
    // The last status is due within a second.
    else if (message.type === 'pass-done') setTimeout(() => void worker.stop(), 1200);
  },
);
worker.post({
  type: 'pass',
  order: { bundle: 'pacing', asid: 0, pass: 0, statements: [{ ...statement }], objects: [object] },
});
await worker.ended;
console.log(JSON.stringify(status));
