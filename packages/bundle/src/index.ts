export { ENVELOPE_BYTES } from '@sluice/ports';
export {
  pathFault,
  TAR_BLOCK,
  TAR_MEMBER_BYTES,
  TAR_NAME_BYTES,
  TAR_PAX_BYTES,
  TAR_SEGMENT_BYTES,
  tarHeader,
  tarPadding,
  tarTrailer,
} from './tar.ts';
export type { TarMember } from './tar.ts';
export { TarReader } from './tar-reader.ts';
export type { TarEvent } from './tar-reader.ts';
export {
  PACK_BYTES_LIMIT,
  PACK_MEMBER_LIMIT,
  PACK_TARGET_BYTES,
  packHeader,
  packMemberBytes,
  packTrailer,
  readPack,
  writePack,
} from './tar-pack.ts';
export type { PackMember } from './tar-pack.ts';
export {
  cosignTag,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  FULL_NAME,
  kindOf,
  OCI_BLOB_BYTES,
  OCI_DESCRIPTORS,
  OCI_INDEX,
  OCI_MANIFEST,
  OCI_MANIFEST_BYTES,
  parseDescriptor,
  parseLayoutIndex,
  parseManifest,
  parseOciLayout,
  REF_NAME,
  referrersTag,
} from './oci.ts';
export type { ContentKind, Descriptor, ImageIndex, ImageManifest } from './oci.ts';
export { CLOSURE_DEPTH, CLOSURE_ENTRIES, closureOf } from './oci-closure.ts';
export type { Closure, ClosureEntry, ReadManifest } from './oci-closure.ts';
export {
  FOREIGN_JSON,
  isObject,
  type JsonLimits,
  type JsonObject,
  type JsonValue,
  onlyKeys,
  parseJson,
  STATEMENT_JSON,
} from './json.ts';
export {
  encodeEnvelope,
  type Envelope,
  IN_TOTO,
  parseEnvelope,
  preAuthEncoding,
  type Signature,
  SIGNATURES_MAX,
} from './dsse.ts';
export { kindOfStatement, PREDICATES, STATEMENT_TYPE, type StatementKind, type Subject } from './statement.ts';
export {
  type Artifact,
  ARTIFACT_TYPES,
  type ArtifactType,
  encodeRelease,
  parseRelease,
  type ReleaseStatement,
  type Target,
  targetName,
} from './release.ts';
export { encodeTransport, parseTransport, type TransportObject, type TransportStatement } from './transport.ts';
export {
  encodeHistory,
  type History,
  HISTORY_BUNDLES,
  HISTORY_BYTES,
  type HistoryEntry,
  parseHistory,
} from './history.ts';
export { type BlockRange, type Gap, gapInWords, lastOf, type ObjectGap, rangesOf } from './gap.ts';
export {
  encodeTicket,
  fittingGap,
  parseTicket,
  type Ticket,
  TICKET_BYTES,
  type TicketRefusal,
  type TicketResult,
} from './ticket.ts';
export {
  type ClosedLog,
  encodeLogRecord,
  LOG_PREDICATE,
  type LogEntry,
  type LogRecord,
  parseLogRecord,
  type RemovedLog,
} from './log-record.ts';
export { encodeReceipt, parseReceipt, type Receipt } from './receipt.ts';
export { checkApproval, countingSigner, rolesOf, standingOf } from './approval.ts';
export {
  type ChannelPolicy,
  checkPolicy,
  type KeyWindow,
  matchesGlob,
  policiesFault,
  policyFault,
  type Role,
} from './policy.ts';
export {
  encodePolicy,
  parsePolicy,
  POLICY_BYTES,
  type PolicyChannel,
  type PolicyGrant,
  type PolicyKey,
  type PolicyRole,
  type TrustPolicy,
} from './trust-policy.ts';
export {
  type ChainState,
  checkChain,
  checkStanding,
  checkVersions,
  type ReleaseContext,
  type VerifiedRelease,
  type VerifiedTransport,
  type Verifier,
  type VerifyContext,
  verifyHistory,
  verifyRelease,
  verifyTransport,
} from './verify.ts';
