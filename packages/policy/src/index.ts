export { type ChannelContext, openChannels, openStore, readVerifier } from './open.ts';
export {
  channelsConfig,
  type ChannelPolicyConfig,
  publicKeyFile,
  redisConfig,
  storeConfig,
  type StoreConfig,
} from './sections.ts';
