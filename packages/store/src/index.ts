export { openFsStore } from './fs.ts';
export { openS3Store, type S3Options } from './s3.ts';
