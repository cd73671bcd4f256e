/**
 * Every reason for which Sluice refuses input. Hostile or damaged input is a returned code, counted, never thrown.
 * docs/ERRORS.md lists each with its cause and what the operator does; a test holds the two equal.
 */

/** Why a datagram was refused (stops 8 to 10), or `accepted`. */
export const DATAGRAM_CODES = [
  'too-short',
  'too-long',
  'not-lct-1',
  'bad-header',
  'bad-extension',
  'unknown-class',
  'unknown-asid',
  'key-ended',
  'old-session',
  'replayed',
  'bad-tag',
  'bad-length',
  'bad-esi',
  'bad-sbn',
  'bad-fti',
  'fdt-too-large',
  'fdt-malformed',
  'fdt-too-many-files',
  'fdt-expired',
  'fdt-conflict',
  'unknown-toi-overflow',
  'object-too-large',
  'object-limit',
  'budget',
  'memory-limit',
] as const;
export type DatagramCode = (typeof DATAGRAM_CODES)[number];

/** What became of one datagram: `accepted` brought something, `surplus` was authentic but not needed, else why it was refused. */
export type Verdict = 'accepted' | 'surplus' | DatagramCode;

/** Why a bundle, statement or input was refused (stops 1, 2, 13, 14). */
export const BUNDLE_CODES = [
  'json-malformed',
  'json-duplicate-key',
  'json-unknown-key',
  'statement-too-large',
  'envelope-malformed',
  'statement-malformed',
  'payload-type',
  'predicate-type',
  'digest-algorithm',
  'signature-invalid',
  'signer-unknown',
  'too-few-release-signatures',
  'key-revoked',
  'key-out-of-window',
  'channel-mismatch',
  'sequence-repeated',
  'chain-mismatch',
  'release-mismatch',
  'release-missing',
  'release-repeated',
  'type-not-allowed',
  'repository-not-allowed',
  'path-outside-root',
  'bundle-too-large',
  'version-not-newer',
  'version-missing',
  'version-mismatch',
  'blob-missing',
  'blob-unlisted',
  'digest-mismatch',
  'size-mismatch',
  'total-mismatch',
  'layout-malformed',
  'manifest-malformed',
  'manifest-too-large',
  'non-distributable',
  'tar-malformed',
  'special-file',
  'gate-refused',
  'no-room-ever',
] as const;
export type BundleCode = (typeof BUNDLE_CODES)[number];

/** Why a ticket is not issued, or not served (stops of people: `sluice ticket`, `sluice repair`). */
export const TICKET_CODES = [
  'ticket-off',
  'ticket-nothing',
  'ticket-changed',
  'ticket-typing',
  'ticket-malformed',
  'ticket-forged',
  'ticket-foreign',
  'ticket-expired',
  'ticket-gone',
  'ticket-too-soon',
] as const;
export type TicketCode = (typeof TICKET_CODES)[number];

/** Why what a person asked for on a control socket was not done. */
export const CONTROL_CODES = [
  'policy-rollback',
  'policy-unapproved',
  'policy-digest',
  'policy-foreign',
  'key-unknown',
  'quarantine-unknown',
  'bundle-unknown',
  'retry-needless',
  'not-restored',
] as const;
export type ControlCode = (typeof CONTROL_CODES)[number];

/** A refusal: the code, and one sentence for the operator. `detail` may hold hostile text: print it through a sink. */
export interface Refusal {
  readonly code: BundleCode;
  readonly detail: string;
}

/** Outcome of a check on input from outside. */
export type Result<T, E = Refusal> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

export const ok = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });
export const refuse = (code: BundleCode, detail: string): { readonly ok: false; readonly error: Refusal } => ({
  ok: false,
  error: { code, detail },
});
