// `node make-bucket.ts ENDPOINT ACCESS-KEY SECRET-KEY BUCKET`: for an S3 service in another network namespace.
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';

const [endpoint = '', accessKeyId = '', secretAccessKey = '', Bucket = ''] = process.argv.slice(2);
const client = new S3Client({
  endpoint,
  credentials: { accessKeyId, secretAccessKey },
  region: 'us-east-1',
  forcePathStyle: true,
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
});
await client.send(new CreateBucketCommand({ Bucket }));
client.destroy();
