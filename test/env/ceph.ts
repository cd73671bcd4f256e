import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { missing } from '../harbor/needs.ts';

const SCRIPT = join(import.meta.dirname, 'ceph-rgw.sh');
const START_MS = 240_000;
const run = promisify(execFile);

export interface Ceph {
  /** `http://127.0.0.1:PORT`, path style, region us-east-1. */
  readonly endpoint: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** For what a test does behind the back of the code under test. The caller's to keep open until `stop`. */
  readonly client: S3Client;
  makeBucket(name: string): Promise<void>;
  stop(): Promise<void>;
}

/** The program that a gateway would need and that is not installed; undefined when all are. */
export const cephMissing = (): string | undefined =>
  missing('radosgw', 'radosgw-admin', 'ceph-mon', 'ceph-osd', 'ceph', 'monmaptool', 'curl');

/** A real Ceph object gateway whose files lie in `dir`; takes about three seconds. It ends with this process at the latest. */
export async function startCeph(dir: string): Promise<Ceph> {
  const onExit = (): void => {
    spawnSync(SCRIPT, ['stop', dir]);
  };
  process.once('exit', onExit);
  await run(SCRIPT, ['start', dir], { timeout: START_MS });
  const { stdout } = await run(SCRIPT, ['env', dir]);
  const values = new Map(stdout.split('\n').map((line) => line.split('=', 2) as [string, string]));
  const value = (name: string): string => {
    const found = values.get(name);
    if (found === undefined) throw new Error(`ceph-rgw.sh gave no ${name}`);
    return found;
  };
  const endpoint = value('S3_ENDPOINT');
  const credentials = {
    accessKeyId: value('AWS_ACCESS_KEY_ID'),
    secretAccessKey: value('AWS_SECRET_ACCESS_KEY'),
  };
  const client = new S3Client({
    endpoint,
    credentials,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  return {
    endpoint,
    credentials,
    client,
    makeBucket: async (name) => {
      await client.send(new CreateBucketCommand({ Bucket: name }));
    },
    stop: async () => {
      client.destroy();
      await run(SCRIPT, ['stop', dir]);
      process.off('exit', onExit);
    },
  };
}
