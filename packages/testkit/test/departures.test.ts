import { createHash } from 'node:crypto';
import { createCodec, makeProfile, PROFILES } from '@sluice/fec';
import type { Digest, TagAlgorithm } from '@sluice/ports';
import { sendArenaBytes, SendMachine, type SendSettings } from '@sluice/transfer';
import { openTagAccelerator } from '@sluice/trust';
import { Arena } from '@sluice/wasm';
import { describe, expect, it } from 'vitest';
import { digestOf, Random, testKeys } from '../src/index.ts';

const { accelerate } = await openTagAccelerator('auto');

/** Everything that leaves, with its time: a hash of each datagram. */
function departures(settings: SendSettings, algorithm: TagAlgorithm, fast: boolean): string[] {
  const random = new Random(42);
  const contents = new Map<Digest, Uint8Array>();
  const object = (size: number) => {
    const bytes = random.bytes(size);
    contents.set(digestOf(bytes), bytes);
    return { digest: digestOf(bytes), size, contentType: 'application/octet-stream' } as const;
  };
  const source = {
    read: (digest: Digest, offset: number, into: Uint8Array): void => {
      into.set(contents.get(digest)?.subarray(offset, offset + into.length) ?? []);
    },
  };
  let now = 5e9;
  const wallSeconds = (): number => 1.9e9 + Math.floor(now / 1e9);
  const parts = { codec: createCodec(), source, wallSeconds, onEvent: () => undefined };
  const arena = fast ? { arena: Arena.create(sendArenaBytes(settings)) } : {};
  const keys = testKeys(['prod', 'lab'], fast ? accelerate : undefined, algorithm);
  const machine = new SendMachine(77, keys, settings, { ...parts, ...arena });
  const objects = [1, 1407, 200_000, 900_000, 1_500_000].map(object);
  for (const pass of [0, 1, 3]) {
    machine.submit({ bundle: 'b', asid: pass % 2, pass, statements: [object(3000)], objects });
  }
  const seen: string[] = [];
  for (let turn = 0; ; turn += 1) {
    if (turn === 40) {
      const beat = object(50);
      const body = contents.get(beat.digest) ?? new Uint8Array();
      machine.heartbeat(1, { ...beat, contentType: 'application/vnd.sluice.heartbeat+json' }, body);
    }
    const { at, batch } = machine.depart(now);
    if (batch === undefined && at === Infinity) return seen;
    now = Math.max(now, at);
    for (let i = 0; i < (batch?.count ?? 0); i += 1) {
      const datagram = batch?.bytes.subarray(i * batch.size, (i + 1) * batch.size) ?? new Uint8Array();
      seen.push(`${String(at)} ${createHash('sha256').update(datagram).digest('hex')}`);
    }
  }
}

describe('what leaves', () => {
  const base = { symbolBytes: 1408, rate: 5e8, outageMs: 5, groupBytes: 2 ** 20, statementLeadMs: 250 };
  it.each([
    ['robust, HMAC', { ...base, profile: PROFILES.robust }, 'HMAC-SHA-256-128'],
    ['fast, GMAC', { ...base, profile: PROFILES.fast, rate: Infinity }, 'AES-256-GMAC'],
    ['long symbols', { ...base, symbolBytes: 8896, profile: PROFILES.fast, groupBytes: 2 ** 22 }, 'AES-256-GMAC'],
    [
      'much repair',
      { ...base, symbolBytes: 512, profile: makeProfile({ name: 'x', maxBlock: 17, repair: 101 }) },
      'HMAC-SHA-256-128',
    ],
  ] as const)('is the same from kernels and native tags as from the plain forms: %s', (_, settings, algorithm) => {
    const plain = departures(settings, algorithm, false);
    expect(plain.length).toBeGreaterThan(1000);
    expect(new Set(plain).size).toBe(plain.length);
    expect(departures(settings, algorithm, true)).toEqual(plain);
  });
});
