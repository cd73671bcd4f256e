export { linkConfig, type LinkConfig, linkKeyConfig } from './config.ts';
export { runLink } from './run.ts';
