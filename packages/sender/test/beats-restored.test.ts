import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnvelope, parseHistory } from '@sluice/bundle';
import { SenderLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import { loadSigner, makeKeyPair } from '@sluice/trust';
import { expect, it, onTestFinished } from 'vitest';
import { Beats } from '../src/beats.ts';
import type { ToTransmit } from '../src/transmit/messages.ts';

it('a restored ledger that knows no bundle of a channel, and was told how far its numbers went, has no history to tell', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-beats-'));
  const ledger = new SenderLedger(join(dir, 'ledger.sqlite'));
  onTestFinished(() => {
    ledger.close();
    rmSync(dir, { recursive: true });
  });
  ledger.restored(['prod'], 1, {});
  const id: Digest = `sha256:${'ab'.repeat(32)}`;
  ledger.heads.confirm('prod', { sequence: 3, id });
  const posted: ToTransmit[] = [];
  const signer = loadSigner(makeKeyPair('Ed25519').privatePem);
  const beats = new Beats({
    ledger,
    channels: [{ name: 'prod', asid: 0, signer }],
    configDigest: id,
    now: () => 1_700_000_000,
    post: (message) => posted.push(message),
  });
  beats.beat('idle');
  const histories = posted.flatMap((message) => (message.type === 'history' ? [message.body] : []));
  for (const body of histories) {
    const envelope = parseEnvelope(body);
    expect(envelope.ok && parseHistory(envelope.value.payload)).toMatchObject({ ok: true });
  }
  expect(posted.map(({ type }) => type)).toEqual(['heartbeat']);
});
