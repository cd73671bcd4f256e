export { Announcer } from './announcer.ts';
export { linkConfig, type LinkConfig, linkKeyConfig } from './config.ts';
export type { MediaAnswer, MediaObject } from './media.ts';
export { runLink } from './run.ts';
export { LinkPipeline } from './pipeline.ts';
export { EndedKeys } from './ended-keys.ts';
export { SessionFile } from './session-file.ts';
