export { openFsStore } from './fs.ts';
export { openStaging } from './staging.ts';
export { openS3Store, S3_TIMEOUTS, type S3Options } from './s3.ts';
