export { LINK_KEY_BYTES, linkKeyId, makeLinkKey, parseLinkKey, sessionKey, type TagAccelerator } from './linkkeys.ts';
export { openTagAccelerator, type TagChoice } from './tag-accelerator.ts';
export { openPeerReader, type Peer, type PeerReader } from './peer.ts';
export { sha256, sha256Digest } from './hash.ts';
export {
  addSignature,
  loadSigner,
  loadTicketSigner,
  loadTicketVerifier,
  loadVerifier,
  makeKeyPair,
  openEnvelope,
  type PublicKey,
  type SignatureAlgorithm,
  signEnvelope,
  type Signer,
} from './signing.ts';
