export type { BundleFilter } from './bundle-page.ts';
export { type Actor, type AdoptedPolicy, Control, NOBODY, TrustRecord } from './control.ts';
export { type Migration, openDatabase, transaction } from './database.ts';
export { type ChainCheck, EventChain, EVENTS_SCHEMA, type LedgerEvent } from './events.ts';
export { ImporterLedger } from './importer.ts';
export { BUNDLE_STATES, type BundleRecord, type BundleState, type MissingBundle, ReceiverLedger } from './receiver.ts';
export {
  SEND_STATES,
  type SealedBundle,
  type SealedObject,
  SenderLedger,
  type SealRequest,
  type SendState,
} from './sender.ts';
export { Signatures, type SignedBundle, type Signers } from './signatures.ts';
