import { request } from 'node:http';
import { copyFileSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OperationalError } from '@sluice/ports';
import { RELEASE_FILE, writeSubmitStream } from '@sluice/sources';
import { parseArguments, UsageError } from './arguments.ts';
import { Progress } from './progress.ts';
import { sayJson } from './say.ts';
import { optionsOf } from './table.ts';

/** Longest answer that is read. */
const ANSWER_BYTES = 64 * 1024;

/** `sluice submit`: streams the paths as a tar over the control socket, read as the caller. */
export async function submit(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('submit'));
  if (positionals.length === 0) throw new UsageError('submit takes the paths of images and files');
  const query = new URLSearchParams();
  if (values.channel !== undefined) query.set('channel', values.channel);
  if (values.name !== undefined) query.set('name', values.name);
  const renamed = values.release === undefined ? undefined : underItsName(values.release);
  try {
    const paths = renamed === undefined ? positionals : [renamed.path, ...positionals];
    const stream = shown(writeSubmitStream(paths), paths);
    const { status, body } = await post(values.socket, `/v1/submit?${query.toString()}`, stream);
    sayJson(body);
    return status === 200 ? 0 : 1;
  } finally {
    renamed?.remove();
  }
}

/** The pieces of a stream as they are, with progress on a terminal. */
function* shown(pieces: Iterable<Uint8Array>, paths: readonly string[]): Generator<Uint8Array> {
  const total = paths.reduce((sum, path) => sum + bytesBelow(path), 0);
  const progress = new Progress({ what: 'submitting' });
  let done = 0;
  try {
    for (const piece of pieces) {
      progress.at(done, total);
      yield piece;
      done = Math.min(total, done + piece.length);
    }
  } finally {
    progress.end();
  }
}

/** Bytes of the files of a tree; what cannot be read is told by who reads it. */
function bytesBelow(path: string): number {
  try {
    const found = lstatSync(path);
    if (!found.isDirectory()) return found.size;
    return readdirSync(path).reduce((sum, name) => sum + bytesBelow(join(path, name)), 0);
  } catch {
    return 0;
  }
}

/** The release envelope goes under its fixed name, whatever the caller calls it. */
function underItsName(path: string): { readonly path: string; readonly remove: () => void } {
  const directory = mkdtempSync(`${tmpdir()}/sluice-submit-`);
  const copy = `${directory}/${RELEASE_FILE}`;
  copyFileSync(path, copy);
  return {
    path: copy,
    remove: () => {
      rmSync(directory, { recursive: true });
    },
  };
}

async function post(
  socketPath: string,
  path: string,
  body: Iterable<Uint8Array>,
): Promise<{ readonly status: number; readonly body: string }> {
  const sending = request({
    socketPath,
    path,
    method: 'POST',
    headers: { 'content-type': 'application/x-tar', host: 'localhost' },
  });
  const answered = new Promise<{ readonly status: number; readonly body: string }>((resolve, reject) => {
    sending.once('error', reject);
    sending.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text = (text + chunk).slice(0, ANSWER_BYTES);
      });
      response.once('error', reject);
      response.once('end', () => {
        resolve({ status: response.statusCode ?? 0, body: text });
      });
    });
  });
  const enough = new AbortController();
  const sent = pipeline(Readable.from(body), sending, { signal: enough.signal }).catch((error: unknown) => error);
  try {
    return await answered;
  } catch (cause) {
    // What cannot be read here is the better reason than that the connection ended for it.
    const failure = await sent;
    if (failure instanceof OperationalError) throw failure;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new OperationalError(
      'control-socket',
      `the sender's control socket ${socketPath} did not take the bundle (${why}); is the sender running, and may you open the socket?`,
      {
        retryable: true,
        cause,
      },
    );
  } finally {
    // An answer before all is sent is a refusal: the rest is not wanted.
    enough.abort();
  }
}
