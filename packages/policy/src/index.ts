export {
  type Adopted,
  type AnchorParts,
  Anchors,
  type Asker,
  type ControlRefusal,
  type ControlResult,
  type KnownKey,
  no,
  type TrustKeeping,
} from './anchors.ts';
export { type ControlRoute, type ControlRoutes, findKey, type TrustRouteParts, trustRoutes } from './control.ts';
export { type ChannelContext, openChannels, openStore, openStoreToRead, readVerifier } from './open.ts';
export {
  channelsConfig,
  controlConfig,
  type ControlConfig,
  type ChannelPolicyConfig,
  publicKeyFile,
  redisConfig,
  storeConfig,
  type StoreConfig,
  trustConfig,
  type TrustConfig,
} from './sections.ts';
