import { ENVELOPE_BYTES, ok, refuse, type Result } from '@sluice/ports';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { isList, isObject, type JsonLimits, onlyKeys, parseJson } from './json.ts';
import { concat } from './tar.ts';

/** The one payload type taken (in-toto attestation framework, envelope.md). */
export const IN_TOTO = 'application/vnd.in-toto+json';
/** Most signatures in one envelope. */
export const SIGNATURES_MAX = 16;

export interface Signature {
  /** Lower-case hex SHA-256 of the signer's public key as DER SubjectPublicKeyInfo. A hint: only a key that verifies counts. */
  readonly keyid: string;
  readonly sig: Uint8Array;
}

/** A DSSE envelope (secure-systems-lab/dsse, protocol.md and envelope.md) with an in-toto payload. */
export interface Envelope {
  readonly payload: Uint8Array;
  readonly signatures: readonly Signature[];
}

const encoder = new TextEncoder();

/** Pre-authentication encoding: what is signed. `DSSEv1 SP len(type) SP type SP len(payload) SP payload`. */
export const preAuthEncoding = (payload: Uint8Array): Uint8Array =>
  concat([encoder.encode(`DSSEv1 ${String(IN_TOTO.length)} ${IN_TOTO} ${String(payload.length)} `), payload]);

/** The envelope's one spelling: keys in this order, no spaces, a line feed at the end. */
export function encodeEnvelope({ payload, signatures }: Envelope): Uint8Array {
  const document = {
    payloadType: IN_TOTO,
    payload: encodeBase64(payload),
    signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig: encodeBase64(sig) })),
  };
  return encoder.encode(`${JSON.stringify(document)}\n`);
}

/** An envelope is read before any signature holds, so it gets no more values than its form has room for: 4, and 3 for each signature. */
const ENVELOPE_JSON: JsonLimits = {
  bytes: ENVELOPE_BYTES,
  depth: 3,
  values: 64,
  numbers: 'integers',
};

/** Refuses what the JSON parser refuses, `envelope-malformed` and `payload-type`. */
export function parseEnvelope(bytes: Uint8Array): Result<Envelope> {
  const document = parseJson(bytes, ENVELOPE_JSON);
  if (!document.ok) return document;
  const value = document.value;
  if (!isObject(value)) return malformed('it is not an object');
  const known = onlyKeys(value, ['payloadType', 'payload', 'signatures'], 'envelope');
  if (!known.ok) return known;
  if (value.payloadType !== IN_TOTO) return refuse('payload-type', `the envelope's payload type is not ${IN_TOTO}`);
  const payload = typeof value.payload === 'string' ? decodeBase64(value.payload) : undefined;
  if (payload === undefined) return malformed('its payload is not base64');
  if (!isList(value.signatures) || value.signatures.length > SIGNATURES_MAX) {
    return malformed(`its signatures are not a list of at most ${String(SIGNATURES_MAX)}`);
  }
  const signatures: Signature[] = [];
  for (const item of value.signatures) {
    const sig = isObject(item) && typeof item.sig === 'string' ? decodeBase64(item.sig) : undefined;
    if (!isObject(item) || sig === undefined || sig.length > 1024) return malformed('a signature is not base64');
    const keys = onlyKeys(item, ['keyid', 'sig'], 'signature');
    if (!keys.ok) return keys;
    if (typeof item.keyid !== 'string' || !/^[0-9a-f]{64}$/.test(item.keyid))
      return malformed('a keyid is not 64 hex digits');
    signatures.push({ keyid: item.keyid, sig });
  }
  return ok({ payload, signatures });
}

const malformed = (why: string): Result<never> =>
  refuse('envelope-malformed', `the envelope is no DSSE envelope of ours: ${why}`);
