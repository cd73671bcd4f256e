import { OperationalError } from '@sluice/ports';

/**
 * What may be done about a failure: `transient` mends itself (retry soon), `operator` waits for a person (retry slowly, raise a
 * state), `fatal` concerns this object for ever (do not retry).
 */
export type FailureClass = 'transient' | 'operator' | 'fatal';

/** Codes of this package with their class; the class decides `retryable` (all but `fatal`). */
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
  'replication-active': 'transient',
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

/** A failure of a registry or of Harbor, with its class and, where there was an answer, HTTP status and X-Request-Id. */
export class RegistryError extends OperationalError {
  readonly failureClass: FailureClass;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  constructor(
    code: RegistryCode,
    message: string,
    about: { status?: number; requestId?: string; cause?: unknown } = {},
  ) {
    super(code, message, { retryable: REGISTRY_CODES[code] !== 'fatal', cause: about.cause });
    this.name = 'RegistryError';
    this.failureClass = REGISTRY_CODES[code];
    this.status = about.status;
    this.requestId = about.requestId;
  }
}

const TEXT_LIMIT = 200;

/** Text from outside made fit for one log line: control and format characters replaced, cut at `limit` characters. */
export function printable(text: string, limit = TEXT_LIMIT): string {
  const clean = text.slice(0, limit).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');
  return text.length > limit ? `${clean}...` : clean;
}
