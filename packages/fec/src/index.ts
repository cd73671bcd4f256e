export { blockBytes, blockLength, blockOffset, type Partition, partition } from './partition.ts';
export { type FecProfile, makeProfile, MAX_SYMBOLS, passEsis, PROFILES, repairCount } from './profile.ts';
export { type Codec, createCodec } from './codec.ts';
