export { openChannels, openStore, readVerifier } from './open.ts';
export {
  channelPolicyConfig,
  type ChannelPolicyConfig,
  redisConfig,
  storeConfig,
  type StoreConfig,
} from './sections.ts';
