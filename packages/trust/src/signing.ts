import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import {
  encodeEnvelope,
  type Envelope,
  parseEnvelope,
  preAuthEncoding,
  SIGNATURES_MAX,
  type Verifier,
} from '@sluice/bundle';
import { OperationalError, type Result } from '@sluice/ports';

export type SignatureAlgorithm = Verifier['algorithm'];

/** A private key that signs statements. */
export interface Signer {
  readonly keyid: string;
  readonly algorithm: SignatureAlgorithm;
  sign(message: Uint8Array): Uint8Array;
}

const malformed = (why: string): OperationalError =>
  new OperationalError('key-malformed', `${why}; Ed25519, ECDSA P-256 and P-384 keys in PEM are taken`, {
    retryable: false,
  });

function algorithmOf(key: KeyObject): SignatureAlgorithm {
  if (key.asymmetricKeyType === 'ed25519') return 'Ed25519';
  const curve = key.asymmetricKeyType === 'ec' ? key.asymmetricKeyDetails?.namedCurve : undefined;
  if (curve === 'prime256v1') return 'ECDSA-P256';
  if (curve === 'secp384r1') return 'ECDSA-P384';
  throw malformed(
    `the key is of type ${key.asymmetricKeyType ?? 'unknown'}${curve === undefined ? '' : ` on curve ${curve}`}`,
  );
}

const HASHES: Readonly<Record<SignatureAlgorithm, string | null>> = {
  Ed25519: null,
  'ECDSA-P256': 'sha256',
  'ECDSA-P384': 'sha384',
};

/**
 * Lower-case hex SHA-256 of the public key as DER SubjectPublicKeyInfo. A curve's key has several such forms (compressed point, explicit
 * parameters); were they all taken, one key would count as several under several ids. @throws OperationalError `key-malformed`
 */
function keyIdOf(key: KeyObject): string {
  const der = key.export({ type: 'spki', format: 'der' });
  const plain = createPublicKey({ key: key.export({ format: 'jwk' }), format: 'jwk' });
  if (!der.equals(plain.export({ type: 'spki', format: 'der' }))) {
    throw malformed(
      'the key has a compressed point or explicit curve parameters; write it anew with "-conv_form uncompressed -param_enc named_curve"',
    );
  }
  return createHash('sha256').update(der).digest('hex');
}

function parsed(make: () => KeyObject, what: string): KeyObject {
  try {
    return make();
  } catch {
    // The library's error may hold part of the key.
    throw malformed(`this is no ${what} key`);
  }
}

/** Takes PKCS #8 and SEC 1 without a password. @throws OperationalError `key-malformed` */
export function loadSigner(pem: string): Signer {
  if (pem.includes('ENCRYPTED')) throw malformed('the private key has a password, which a daemon cannot type');
  const key = parsed(() => createPrivateKey(pem), 'private');
  const algorithm = algorithmOf(key);
  const hash = HASHES[algorithm];
  return { keyid: keyIdOf(createPublicKey(key)), algorithm, sign: (message) => sign(hash, message, key) };
}

/** A key that signatures are checked with, and its text: a thread of its own makes the same key of it. */
export interface PublicKey extends Verifier {
  readonly pem: string;
}

/**
 * Takes one SubjectPublicKeyInfo in PEM. @throws OperationalError `key-malformed`, also for a private key (those have no place where only
 * signatures are checked), a certificate (its validity would not be looked at) and a second key (it would not be used).
 */
export function loadVerifier(pem: string): PublicKey {
  if (pem.includes('PRIVATE KEY')) throw malformed('this is a private key where the public one belongs');
  const labels = [...pem.matchAll(/^-----BEGIN ([A-Z0-9 ]+)-----/gm)].map((match) => match[1]);
  if (labels.length !== 1 || labels[0] !== 'PUBLIC KEY') {
    const found = labels.length === 0 ? 'nothing of that form' : labels.join(', ').toLowerCase();
    throw malformed(`the file must hold one "PUBLIC KEY" block and has ${found}`);
  }
  const key = parsed(() => createPublicKey(pem), 'public');
  const algorithm = algorithmOf(key);
  const hash = HASHES[algorithm];
  return {
    keyid: keyIdOf(key),
    algorithm,
    pem,
    verify: (message, signature) => {
      try {
        return verify(hash, message, key, signature);
      } catch {
        return false;
      }
    },
  };
}

/** A key that signs tickets: Ed25519, whose signatures hold no chance, so that one gap has one ticket. @throws OperationalError `key-malformed` */
export function loadTicketSigner(pem: string): Signer {
  const signer = loadSigner(pem);
  if (signer.algorithm !== 'Ed25519') throw malformed(`a ticket key must be Ed25519, and this is ${signer.algorithm}`);
  return signer;
}

/** As `loadTicketSigner`, of the side that serves tickets. @throws OperationalError `key-malformed` */
export function loadTicketVerifier(pem: string): Verifier {
  const verifier = loadVerifier(pem);
  if (verifier.algorithm !== 'Ed25519')
    throw malformed(`a ticket key must be Ed25519, and this is ${verifier.algorithm}`);
  return verifier;
}

/** A DSSE envelope over the payload with a signature of each signer. */
export function signEnvelope(payload: Uint8Array, signers: readonly Signer[]): Uint8Array {
  const message = preAuthEncoding(payload);
  return encodeEnvelope({
    payload,
    signatures: signers.map((signer) => ({ keyid: signer.keyid, sig: signer.sign(message) })),
  });
}

/** The envelope with one more signature; one by the same key is replaced. @throws OperationalError `too-many-signatures` */
export function addSignature(envelope: Envelope, signer: Signer): Uint8Array {
  const others = envelope.signatures.filter(({ keyid }) => keyid !== signer.keyid);
  if (others.length >= SIGNATURES_MAX) {
    throw new OperationalError(
      'too-many-signatures',
      `the envelope has ${String(others.length)} signatures, and no receiver takes more; sign an envelope with fewer`,
      { retryable: false },
    );
  }
  const sig = signer.sign(preAuthEncoding(envelope.payload));
  return encodeEnvelope({ payload: envelope.payload, signatures: [...others, { keyid: signer.keyid, sig }] });
}

/** The payload of an envelope that one of the keys signed, with the key's id; undefined when none did. */
export function openEnvelope(
  bytes: Uint8Array,
  verifiers: readonly Verifier[],
): Result<{ readonly payload: Uint8Array; readonly signer: string | undefined }> {
  const envelope = parseEnvelope(bytes);
  if (!envelope.ok) return envelope;
  const { payload, signatures } = envelope.value;
  const message = preAuthEncoding(payload);
  const signer = verifiers.find((verifier) =>
    signatures.some(({ keyid, sig }) => keyid === verifier.keyid && verifier.verify(message, sig)),
  );
  return { ok: true, value: { payload, signer: signer?.keyid } };
}

/** A new key pair in PEM: PKCS #8 and SubjectPublicKeyInfo. */
export function makeKeyPair(algorithm: SignatureAlgorithm): {
  readonly privatePem: string;
  readonly publicPem: string;
} {
  const { privateKey, publicKey } =
    algorithm === 'Ed25519'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: algorithm === 'ECDSA-P256' ? 'P-256' : 'P-384' });
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }),
  };
}
