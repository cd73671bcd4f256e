import { encodeReceipt, type Receipt, type VerifiedTransport } from '@sluice/bundle';
import type { BlobStore } from '@sluice/ports';
import { sha256Digest, type Signer, signEnvelope } from '@sluice/trust';

export type ReceiptOutcome = Pick<Receipt, 'result' | 'code' | 'artifacts'>;

/** Signs the receipt, keeps it in the store, and gives its text: what the job returns. */
export async function issueReceipt(
  store: BlobStore,
  signer: Signer,
  transport: VerifiedTransport,
  outcome: ReceiptOutcome,
  seconds: number,
): Promise<string> {
  const { channel, sequence } = transport.statement;
  const receipt: Receipt = { bundle: transport.id, channel, sequence, ...outcome, seconds };
  const envelope = signEnvelope(encodeReceipt(receipt), [signer]);
  await store.put(sha256Digest(envelope), envelope.length, envelope);
  return Buffer.from(envelope).toString('utf8');
}
