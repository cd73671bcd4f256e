export { LINK_KEY_BYTES, makeLinkKey, parseLinkKey, sessionKey } from './linkkeys.ts';
export { sha256, sha256Digest } from './hash.ts';
export {
  addSignature,
  loadSigner,
  loadVerifier,
  makeKeyPair,
  openEnvelope,
  type SignatureAlgorithm,
  signEnvelope,
  type Signer,
} from './signing.ts';
