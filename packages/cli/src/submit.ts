import { request } from 'node:http';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OperationalError } from '@sluice/ports';
import { RELEASE_FILE, writeSubmitStream } from '@sluice/sources';
import { parseArguments, UsageError } from './arguments.ts';
import { sayJson } from './say.ts';

const DEFAULT_SOCKET = '/run/sluice/control/sender.sock';
/** Longest answer that is read. */
const ANSWER_BYTES = 64 * 1024;

/** `sluice submit`: streams the paths as a tar over the control socket, read as the caller. */
export async function submit(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, {
    socket: { type: 'string', default: DEFAULT_SOCKET },
    channel: { type: 'string' },
    name: { type: 'string' },
    release: { type: 'string' },
  });
  if (positionals.length === 0) throw new UsageError('submit takes the paths of images and files');
  const query = new URLSearchParams();
  if (values.channel !== undefined) query.set('channel', values.channel);
  if (values.name !== undefined) query.set('name', values.name);
  const renamed = values.release === undefined ? undefined : underItsName(values.release);
  try {
    const paths = renamed === undefined ? positionals : [renamed.path, ...positionals];
    const { status, body } = await post(values.socket, `/v1/submit?${query.toString()}`, writeSubmitStream(paths));
    sayJson(body);
    return status === 200 ? 0 : 1;
  } finally {
    renamed?.remove();
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
