import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, hexOf } from '@sluice/ports';
import { openFsStore, openStaging } from '@sluice/store';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openMachine } from '../src/transmit/loop.ts';
import type { FromTransmit, TransmitOptions } from '../src/transmit/messages.ts';
import { StagedObjects } from '../src/transmit/staged-objects.ts';

function store() {
  const root = mkdtempSync(join(tmpdir(), 'sluice-staged-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const staging = openStaging(root, 'intake');
  const pathOf = (digest: Digest): string => join(root, 'blobs/sha256', hexOf(digest));
  const openThere = (): string[] =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        const path = readlinkSync(`/proc/self/fd/${fd}`);
        return path.startsWith(join(root, 'blobs')) ? [path] : [];
      } catch {
        return [];
      }
    });
  return { root, staging, pathOf, openThere };
}

const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

describe('an object of the staging store', () => {
  it('that was damaged after it was sent, and submitted again, leaves as it is now', async () => {
    const { root, staging, pathOf } = store();
    const good = Buffer.alloc(100_000, 1);
    const digest = await staging.add(good);
    await staging.commit();
    const objects = new StagedObjects(root);
    const read = (): Digest => {
      const into = new Uint8Array(good.length);
      objects.read(digest, 0, into);
      return digestOf(into);
    };
    expect(read()).toBe(digest);
    // It rots, the next pass finds that and removes it, and the operator is told to submit the bundle again.
    writeFileSync(pathOf(digest), Buffer.alloc(100_000, 2), { flag: 'r+' });
    expect(staging.holds(digest, good.length)).toBe(false);
    await staging.add(good);
    await staging.commit();
    expect(digestOf(readFileSync(pathOf(digest)))).toBe(digest);
    expect(read()).toBe(digest);
  });

  it('is let go of once its pass has left: what retention removes gives its room back', async () => {
    const { root, staging, openThere } = store();
    const bytes = Buffer.alloc(100_000, 1);
    const digest = await staging.add(bytes);
    await staging.commit();
    const told: FromTransmit[] = [];
    const options = {
      ...{
        symbolBytes: 1408,
        profile: { name: 'robust', maxBlock: 200, repair: 20 },
        outageMs: 0,
        groupBytes: 2 ** 22,
      },
      ...{ statementLeadMs: 0, tsi: 1, storeRoot: root },
      keys: [{ asid: 0, channel: 'prod', algorithm: 'HMAC-SHA-256-128', key: new Uint8Array(32) }],
    } as unknown as TransmitOptions;
    const machine = openMachine(options, (message) => told.push(message), { clock: () => 0 });
    const object = { digest, size: bytes.length, contentType: 'application/octet-stream' } as const;
    const statement = { ...object, contentType: 'application/vnd.dsse.envelope.v1+json' } as const;
    machine.submit({ bundle: digest, asid: 0, pass: 0, statements: [statement, statement], objects: [object] });
    for (let now = 0; ;) {
      const { at } = machine.depart(now);
      if (at === Infinity) break;
      now = Math.max(now, at);
    }
    expect(told.map(({ type }) => type)).toContain('pass-done');
    const removed = await openFsStore(root);
    await removed.removeMany([digest]);
    expect(openThere()).toEqual([]);
  });
});
