import { createHash, randomBytes } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { makeTsi } from '../../packages/alc/src/index.ts';
import { createCodec, PROFILES } from '../../packages/fec/src/index.ts';
import { CaptureBlocks } from '../../packages/pcapng/src/index.ts';
import type { Digest, LinkKey } from '../../packages/ports/src/index.ts';
import { type SendObject, SendMachine } from '../../packages/transfer/src/index.ts';

const MIB = 2 ** 20;
const ENDS = { sourceAddress: '192.0.2.1', sourcePort: 4433, destinationAddress: '192.0.2.2', destinationPort: 4433 };
const START_NS = 1_790_000_000_000_000_000n;
/** Every so many datagrams one is lost; of every so many objects one loses more than its repair symbols make up for. */
const LOST_EVERY = 61;
const TORN_EVERY = 2;

/** Writes a capture of a lossy link with so many objects of `objectBytes`; gives the digests of those that are in it whole. */
export function writeBigLog(path: string, key: LinkKey, objects: number, objectBytes: number): Digest[] {
  const file = openSync(path, 'w');
  const blocks = new CaptureBlocks({ name: 'link', ...ENDS });
  let content: Buffer = Buffer.alloc(0);
  const source = {
    read: (_: Digest, offset: number, into: Uint8Array): void => {
      into.set(content.subarray(offset, offset + into.length));
    },
  };
  const settings = {
    ...{ symbolBytes: 1408, profile: PROFILES.robust, rate: Infinity, outageMs: 0, groupBytes: 16 * MIB },
    statementLeadMs: 0,
  };
  const parts = { codec: createCodec(), source, wallSeconds: () => 1_900_000_000, onEvent: () => undefined };
  const machine = new SendMachine(makeTsi('live', 200_000_000), [key], settings, parts);
  let pieces: Uint8Array[] = [blocks.head({ application: 'test' })];
  const flush = (): void => {
    for (let all = Buffer.concat(pieces); all.length > 0;) all = all.subarray(writeSync(file, all));
    pieces = [];
  };
  const whole: Digest[] = [];
  let count = 0;
  for (let i = 0, now = 0; i < objects; i += 1) {
    content = randomBytes(objectBytes);
    const digest: Digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    const isTorn = i % TORN_EVERY === TORN_EVERY - 1;
    if (!isTorn) whole.push(digest);
    const object: SendObject = { digest, size: objectBytes, contentType: 'application/octet-stream' };
    machine.submit({ bundle: 'b', asid: key.asid, pass: 0, statements: [], objects: [object] });
    for (let at = 0; at !== Infinity;) {
      const departure = machine.depart(now);
      ({ at } = departure);
      if (at !== Infinity) now = Math.max(now, at);
      const { bytes, size, count: many } = departure.batch ?? { bytes: new Uint8Array(), size: 0, count: 0 };
      for (let d = 0; d < many; d += 1) {
        count += 1;
        if (count % (isTorn ? 7 : LOST_EVERY) !== 0)
          pieces.push(blocks.packet(bytes.slice(d * size, (d + 1) * size), START_NS + BigInt(count) * 12_000n));
      }
      if (pieces.length > 1000) flush();
    }
  }
  flush();
  closeSync(file);
  return whole;
}
