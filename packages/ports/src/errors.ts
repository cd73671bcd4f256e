/**
 * Why the world failed: every code of an OperationalError. docs/ERRORS.md lists each with its cause and what the operator
 * does; a test holds the two equal.
 */

/**
 * What may be done about a failure of a registry or of Harbor: `transient` mends itself (retry soon), `operator` waits for a
 * person (retry slowly, raise a state), `fatal` concerns this object for ever (do not retry).
 */
export type FailureClass = 'transient' | 'operator' | 'fatal';

/** Codes of registries and of Harbor with their class; the class decides `retryable` (all but `fatal`). */
export const REGISTRY_CODES = {
  'registry-unreachable': 'transient',
  'registry-timeout': 'transient',
  'registry-unavailable': 'transient',
  'registry-read-only': 'transient',
  'registry-gc': 'transient',
  'registry-upload-lost': 'transient',
  'registry-blob-unknown': 'transient',
  'registry-token-expired': 'transient',
  'registry-conflict': 'transient',
  'registry-answer-malformed': 'transient',
  'replication-failed': 'transient',
  'replication-timeout': 'transient',
  'replication-digest-missing': 'operator',
  'registry-tls': 'operator',
  'registry-redirect': 'operator',
  'registry-not-found': 'operator',
  'registry-token-realm': 'operator',
  'harbor-unauthorized': 'operator',
  'harbor-forbidden': 'operator',
  'harbor-project-missing': 'operator',
  'harbor-quota': 'operator',
  'harbor-immutable-tag': 'operator',
  'harbor-policy': 'operator',
  'replication-policy-missing': 'operator',
  'replication-policy-disabled': 'operator',
  'replication-empty': 'operator',
  'replication-digest-other': 'operator',
  'subject-missing': 'operator',
  'registry-digest-invalid': 'fatal',
  'registry-digest-mismatch': 'fatal',
  'registry-manifest-invalid': 'fatal',
  'registry-too-large': 'fatal',
  'registry-refused': 'fatal',
} as const satisfies Record<string, FailureClass>;
export type RegistryCode = keyof typeof REGISTRY_CODES;

/** What is wrong with a configuration or what it names. The process ends with the status that says so (base's EXIT.config). */
export const CONFIG_CODES = [
  'config-unreadable',
  'config-malformed',
  'config-invalid',
  'secret-file',
  'key-file',
  'key-malformed',
  'policy-fault',
] as const;
export type ConfigCode = (typeof CONFIG_CODES)[number];

const OTHER_CODES = [
  'listen-fds',
  'socket-in-use',
  'socket-path',
  'socket-group',
  'http-listen',
  'control-socket',
  'daemon-silent',
  'socket',
  'link-native',
  'link-receive',
  'link-send',
  'session-file',
  'ledger-full',
  'ledger-io',
  'ledger-newer',
  'ledger-unreadable',
  'ledger-restored',
  'restore-refused',
  'backup-damaged',
  'store-missing',
  'store-digest-mismatch',
  'store-too-large',
  'store-full',
  'store-io',
  'store-unreachable',
  'queue-unavailable',
  'queue-full',
  'gate-unavailable',
  'files-unwritable',
  'files-symlink',
  'inbox-permission',
  'inbox-filesystem',
  'refused-full',
  'work-full',
  'work-leftover',
  'source-io',
  'source-permission',
  's3-unavailable',
  's3-too-many',
  'submit-input',
  'release-name',
  'release-version',
  'too-many-signatures',
  'capture-read',
] as const;

export const OPERATIONAL_CODES = [
  ...CONFIG_CODES,
  ...OTHER_CODES,
  ...(Object.keys(REGISTRY_CODES) as readonly RegistryCode[]),
] as const;
export type OperationalCode = (typeof OPERATIONAL_CODES)[number];

/** The world failing (disk, network, another service): a coded error; `retryable` says whether the same call may succeed later. */
export class OperationalError extends Error {
  readonly code: OperationalCode;
  readonly retryable: boolean;
  constructor(code: OperationalCode, message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'OperationalError';
    this.code = code;
    this.retryable = options.retryable;
  }
}

/** Named states that link tells the receiver of. */
export const LINK_ALARMS = [
  'epoch-went-back',
  'spool-full',
  'spool-io',
  'session-unwritten',
  'chunk-log-full',
  'chunk-log-io',
] as const;
export type LinkAlarm = (typeof LINK_ALARMS)[number];

/** What the receiver finds wrong with the queue, or with what the importers say. */
export const RECEIVER_ALARMS = ['receipt-forged', 'receipt-malformed', 'import-refused'] as const;
export type ReceiverAlarm = (typeof RECEIVER_ALARMS)[number];

/** Why an importer refuses a job, besides the codes of bundles. */
export const IMPORT_CODES = ['job-malformed', 'statement-missing', 'unsupported-type'] as const;
export type ImportCode = (typeof IMPORT_CODES)[number];
