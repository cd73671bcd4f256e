import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { HandoverItem, ObjectInfo } from '@sluice/transfer';
import { readHandover, writeHandover } from '../src/handover-file.ts';
import { scratch } from './tools.ts';

const info: ObjectInfo = {
  digest: `sha256:${'ab'.repeat(32)}`,
  ...{
    size: 100_000,
    contentType: 'application/octet-stream',
    symbolBytes: 64,
    maxBlock: 200,
    asid: 0,
    channel: 'prod',
  },
};
const block = (sbn: number): HandoverItem => ({
  ...{ type: 'block', info, sbn, esis: Uint8Array.of(0, 7, 254) },
  symbols: Uint8Array.from({ length: 192 }, (_, i) => (i * 7 + sbn) & 0xff),
});
const ITEMS: readonly HandoverItem[] = [
  { type: 'seen', tsi: 1000, sn: 2 ** 35 },
  { type: 'name', tsi: 1000, toi: 12, info },
  ...[0, 1, 2].map(block),
];

describe('what one link process hands to the next', () => {
  it('is read as it was written, once', () => {
    const dir = scratch();
    expect(writeHandover(dir, ITEMS)).toEqual({ records: ITEMS.length, bytes: 3 * 192 });
    expect(statSync(join(dir, 'handover')).mode & 0o777).toBe(0o600);
    const read = Array.from(readHandover(dir), (item) =>
      item.type === 'block' ? { ...item, symbols: Uint8Array.from(item.symbols) } : item,
    );
    expect(read).toEqual(ITEMS);
    expect(readdirSync(dir)).toEqual([]);
    expect([...readHandover(dir)]).toEqual([]);
  });

  it('is gone before it is used: who dies of it does not meet it again', () => {
    const dir = scratch();
    writeHandover(dir, ITEMS);
    for (const item of readHandover(dir)) {
      expect(item).toEqual(ITEMS[0]);
      expect(existsSync(join(dir, 'handover'))).toBe(false);
      break;
    }
  });

  it('is believed up to the first record in which anything is otherwise, wherever a file is cut or changed', () => {
    const dir = scratch();
    const path = join(dir, 'handover');
    writeHandover(dir, ITEMS);
    const whole = readFileSync(path);
    const plain = (items: Iterable<HandoverItem>): string[] => Array.from(items, (item) => JSON.stringify(item));
    const all = plain(ITEMS);
    for (let at = 0; at < whole.length; at += 1) {
      for (const bytes of [whole.subarray(0, at), whole.with(at, (whole[at] ?? 0) ^ 0x20)]) {
        writeFileSync(path, bytes);
        const read = plain(readHandover(dir)).map((text) => text.replaceAll('"type":"Buffer",', ''));
        expect(read.length).toBeLessThan(all.length);
        expect(read.slice(0, 2)).toEqual(all.slice(0, Math.min(2, read.length)));
      }
    }
  });

  it('leaves out what could not be ours', () => {
    const strange: readonly unknown[] = [
      { type: 'name', tsi: -1, toi: 1, info },
      { type: 'name', tsi: 1, toi: 2 ** 32, info },
      { type: 'name', tsi: 1, toi: 1, info: { ...info, digest: '../../etc/passwd' } },
      { type: 'name', tsi: 1, toi: 1, info: { ...info, contentType: 'text/html' } },
      { type: 'name', tsi: 1, toi: 1, info: { ...info, symbolBytes: 0 } },
      { type: 'name', tsi: 1, toi: 1, info: { ...info, maxBlock: 251 } },
      { type: 'name', tsi: 1, toi: 1, info: { ...info, symbolBytes: 65 } },
      { type: 'name', tsi: 1, toi: 1, info: { ...info, size: 2 ** 40 + 1 } },
      { type: 'name', tsi: 1, toi: 1, info: { ...info, size: 2 ** 40, maxBlock: 1 } },
      { ...block(0), sbn: 8 },
      { ...block(0), esis: Uint8Array.of(0, 7, 7) },
      { type: 'name', tsi: 1, toi: 1 },
      { ...block(0), sbn: 0.5 },
      { ...block(0), esis: Uint8Array.of(1, 2) },
      { ...block(0), esis: Uint8Array.of(1, 2, 255) },
      { type: 'other', info },
      { type: 'seen', tsi: 1, sn: '1' },
    ];
    for (const item of strange) {
      const dir = scratch();
      writeHandover(dir, [item as HandoverItem, ...ITEMS]);
      expect([...readHandover(dir)]).toEqual([]);
    }
  });
});
