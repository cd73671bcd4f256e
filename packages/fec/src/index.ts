export { ArenaCodec } from './arena-codec.ts';
export { createCodec, type Codec } from './codec.ts';
export type { CodecKind } from './engine.ts';
export { blockBytes, blockLength, blockOffset, partition, type Partition } from './partition.ts';
export {
  makeProfile,
  passEsis,
  PROFILES,
  repairCount,
  topUpEsis,
  type FecProfile,
  type ProfileOptions,
} from './profile.ts';
