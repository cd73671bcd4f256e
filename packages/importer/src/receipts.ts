import { encodeReceipt, type Receipt, type VerifiedTransport } from '@sluice/bundle';
import { RECEIPT_LIMIT } from '@sluice/queue';
import { sha256Digest, type Signer, signEnvelope } from '@sluice/trust';
import type { ImportStore } from './unreadable.ts';

export type ReceiptOutcome = Pick<Receipt, 'result' | 'code' | 'artifacts'>;

/**
 * Signs the receipt, keeps it in the store, and gives its text: what the job returns. One that is too long for the queue stays in the store, and one that
 * names it goes back.
 */
export async function issueReceipt(
  store: ImportStore,
  signer: Signer,
  transport: VerifiedTransport,
  outcome: ReceiptOutcome,
  seconds: number,
): Promise<string> {
  const { channel, sequence } = transport.statement;
  const receipt: Receipt = { bundle: transport.id, channel, sequence, ...outcome, seconds };
  const envelope = await keep(store, signer, receipt);
  if (envelope.length <= RECEIPT_LIMIT) return textOf(envelope);
  const full = { digest: sha256Digest(envelope), size: envelope.length, artifacts: receipt.artifacts.length };
  return textOf(await keep(store, signer, { ...receipt, artifacts: [], full }));
}

async function keep(store: ImportStore, signer: Signer, receipt: Receipt): Promise<Uint8Array> {
  const envelope = signEnvelope(encodeReceipt(receipt), [signer]);
  await store.put(sha256Digest(envelope), envelope.length, envelope);
  return envelope;
}

const textOf = (envelope: Uint8Array): string => Buffer.from(envelope).toString('utf8');
