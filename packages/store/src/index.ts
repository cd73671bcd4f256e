export type { Batch, BatchPlaces, PackBatch } from './batch-messages.ts';
export { storeBatch } from './batch-storing.ts';
export { openFsStore, readFsStore } from './fs.ts';
export { openStaging } from './staging.ts';
export { openS3Store, S3_TIMEOUTS, type S3Options } from './s3.ts';
