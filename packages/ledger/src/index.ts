export { Archive } from './archive.ts';
export type { BundleFilter } from './bundle-page.ts';
export { BUNDLE_STATES, type BundleRecord, type BundleState, type MissingBundle } from './bundle-record.ts';
export {
  type Checkpoint,
  Checkpoints,
  type CheckpointSigner,
  type CheckpointVerifier,
  type ClosingRules,
  LEDGER_ROLES,
  type LedgerRole,
} from './checkpoints.ts';
export { type Actor, type AdoptedPolicy, Control, NOBODY, TrustRecord } from './control.ts';
export { type Migration, openDatabase, transaction } from './database.ts';
export { type ChainCheck, EventChain, EVENTS_SCHEMA, type LedgerEvent } from './events.ts';
export { type Head, Heads } from './heads.ts';
export { ImporterLedger } from './importer.ts';
export { GIVEN_UP, Keeping, STORE_DAMAGED, WAITING_FOR_ROOM } from './keeping.ts';
export { ReceiverLedger } from './receiver.ts';
export {
  SEND_STATES,
  type SealedBundle,
  type SealedObject,
  SenderLedger,
  type SealRequest,
  type SendState,
  type StagedBundle,
} from './sender.ts';
export { Signatures, type SignedBundle, type Signers } from './signatures.ts';
export { type LedgerFault, type LedgerReport, readLedger, verifyLedger } from './verify.ts';
