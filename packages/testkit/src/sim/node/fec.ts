// In the place of `@sluice/fec` for the code that runs in a world: all of it, with one codec for all, since each has 18 MB of its own.
import { type Codec, createCodec as create } from '@sluice/fec';

export * from '@sluice/fec';

let codec: Codec | undefined;

export const createCodec = (): Codec => (codec ??= create());
