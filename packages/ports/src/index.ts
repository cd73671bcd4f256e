export * from './codes.ts';
export * from './errors.ts';
export * from './digest.ts';
export * from './auth.ts';
export * from './blobs.ts';
export * from './staging.ts';
export * from './datagrams.ts';
export * from './link-messages.ts';
