import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createJsonLogger, parseConfig, type Shutdown } from '@sluice/base';
import { SenderLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import { openFsStore } from '@sluice/store';
import { expect, it, onTestFinished } from 'vitest';
import { makeKeyPair } from '@sluice/trust';
import { senderConfig } from '../src/config.ts';
import { Telemetry } from '../src/observe.ts';
import { StagingRetention } from '../src/retention.ts';
import { StagingLock } from '../src/staging-lock.ts';
import { Transmission } from '../src/transmission.ts';

const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

it('a bundle whose pass waits behind another one keeps its content until that has left', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-waiting-'));
  const ledger = new SenderLedger(join(dir, 'ledger.sqlite'));
  const storeRoot = join(dir, 'store');
  const store = await openFsStore(storeRoot);
  const put = async (bytes: Uint8Array): Promise<Digest> => {
    await store.put(digestOf(bytes), bytes.length, bytes);
    return digestOf(bytes);
  };
  const seal = async (size: number): Promise<Digest> => {
    const [content, release] = [randomBytes(size), randomBytes(100)];
    const object = { digest: await put(content), size, contentType: 'application/octet-stream' } as const;
    const bundle = ledger.sealBundle({
      ...{ channel: 'prod', source: release.toString('hex'), name: 'b', release: await put(release), releaseSize: 100 },
      ...{ objects: [object], bytes: size },
      make: (sequence) => {
        const envelope = Buffer.from(`envelope ${String(sequence)}`);
        return { id: digestOf(envelope), envelope };
      },
    });
    await put(bundle.envelope);
    return bundle.id;
  };
  writeFileSync(join(dir, 'link.key'), '11'.repeat(32), { mode: 0o600 });
  writeFileSync(join(dir, 'transport.pem'), makeKeyPair('Ed25519').privatePem, { mode: 0o600 });
  const text = JSON.stringify({
    ...{ stateDirectory: dir, refusedDirectory: join(dir, 'refused'), controlSocket: join(dir, 'control') },
    link: { host: '127.0.0.1', port: 9, io: 'portable', rate: '8Mbit/s', statementLead: '20ms' },
    carousel: { passes: 1, gap: '1s', timeToLive: 1 },
    channels: [{ name: 'prod', asid: 0, linkKeyFile: 'link.key', transportKeyFile: 'transport.pem' }],
  });
  const config = parseConfig(text, senderConfig, { file: join(dir, 'sender.json') });
  const logger = createJsonLogger('test', { write: () => undefined });
  const stops: (() => unknown)[] = [];
  const shutdown = {
    add: (_name: string, stop: () => unknown) => void stops.push(stop),
    signal: new AbortController().signal,
    stop: () => Promise.resolve(),
  } as unknown as Shutdown;
  const telemetry = new Telemetry();
  const transmission = new Transmission({
    ...{ config, ledger, logger, telemetry, shutdown, storeRoot },
    ...{ configDigest: digestOf(Buffer.from('c')), missing: () => Promise.resolve([]) },
  });
  onTestFinished(async () => {
    for (const stop of stops.toReversed()) await stop();
    ledger.close();
    rmSync(dir, { recursive: true });
  });
  const [first, second] = [await seal(3_000_000), await seal(300_000)];
  // The first one's pass takes 3 s; that of the second waits for it, and a third bundle ends its time.
  transmission.send(first);
  transmission.send(second);
  ledger.passDone(second, 0, 1);
  await seal(1000);
  const retention = new StagingRetention({
    ...{ ledger, store, logger, lock: new StagingLock() },
    rules: { storeForMs: -1, storeBytes: 2 ** 40, timeToLive: 1 },
    // As run.ts has it.
    moving: () => telemetry.underWay,
    now: Date.now,
  });
  await expect.poll(() => telemetry.moving.size, { timeout: 10_000 }).toBeGreaterThan(0);
  await retention.sweep();
  await expect.poll(() => ledger.bundle(first)?.state, { timeout: 20_000 }).toBe('sent');
  await expect.poll(() => [...telemetry.moving.keys()], { timeout: 20_000 }).toEqual([]);
  await expect.poll(() => telemetry.pending, { timeout: 20_000 }).toBe(0);
  expect(telemetry.failedPasses).toBe(0);
}, 60_000);
