import { mkdirSync } from 'node:fs';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { OperationalError } from '@sluice/ports';
import type { MediaHead } from '@sluice/sender';
import { parseArguments, RefusedError, required, UsageError } from './arguments.ts';
import { refusalOf } from './ask.ts';
import { MediaFiles } from './media-files.ts';
import { Progress } from './progress.ts';
import { sizeOf, wholeOf } from './quantities.ts';
import { say, sayJson } from './say.ts';
import { optionsOf } from './table.ts';

const HEAD_BYTES_MAX = 4096;
const TIME_BYTES = 8;

/** `sluice export --to DIR BUNDLE`: a bundle's datagrams as a media session, in files that a person carries. */
export async function exportBundle(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('export'));
  const [bundle] = positionals;
  if (bundle === undefined || positionals.length > 1)
    throw new UsageError('export takes one bundle: its id, its number, or CHANNEL/NUMBER');
  const to = required(values.to, 'to');
  const partBytes = sizeOf(values['part-bytes'], 'part-bytes');
  const spareParts = wholeOf(values['spare-parts'], 'spare-parts', 0, 3);
  const answer = await post(values.socket, JSON.stringify({ bundle, partBytes, spareParts, reason: values.reason }));
  if (answer.statusCode !== 200) throw new RefusedError(refusalOf(await refusal(answer)));
  mkdirSync(to, { recursive: true });
  const { head, files } = await write(answer, to);
  if (values.json === true) sayJson(JSON.stringify({ ...head, files }));
  else {
    const sum = files.reduce((total, file) => total + file.bytes, 0);
    say(
      `bundle ${String(head.sequence)} of channel ${head.channel} in ${String(head.parts)} files, ${String(sum)} bytes`,
      ...files.map(({ path }) => path),
      `Any ${String(spareParts)} of the files may be lost or damaged. On the isolated side: sluice import-media DIR`,
    );
  }
  return 0;
}

async function post(socketPath: string, body: string): Promise<IncomingMessage> {
  const headers = { 'content-type': 'application/json', host: 'localhost' };
  return new Promise((resolve, reject) => {
    const sending = request({ socketPath, path: '/v1/export', method: 'POST', headers }, resolve);
    sending.once('error', (cause) => {
      const what = `the control socket ${socketPath} does not answer (${cause.message}); is the sender running, and may you open the socket?`;
      reject(new OperationalError('control-socket', what, { retryable: true, cause }));
    });
    sending.end(body);
  });
}

async function refusal(answer: IncomingMessage): Promise<{ status: number; body: Readonly<Record<string, unknown>> }> {
  let text = '';
  for await (const piece of answer.setEncoding('utf8')) text = (text + String(piece)).slice(0, 65_536);
  let body: unknown = {};
  try {
    body = JSON.parse(text);
  } catch {
    // What is no JSON says nothing.
  }
  return { status: answer.statusCode ?? 0, body: body as Readonly<Record<string, unknown>> };
}

/** Writes what the sender streams: a line about it, then records of equal length. */
async function write(answer: IncomingMessage, to: string) {
  let rest: Buffer = Buffer.alloc(0);
  let head: MediaHead | undefined;
  let files: MediaFiles | undefined;
  const progress = new Progress({ what: 'export' });
  let done = 0;
  try {
    for await (const piece of answer as AsyncIterable<Buffer>) {
      rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      if (head === undefined) {
        const end = rest.indexOf('\n');
        if (end < 0 && rest.length < HEAD_BYTES_MAX) continue;
        head = JSON.parse(rest.toString('utf8', 0, end)) as MediaHead;
        rest = rest.subarray(end + 1);
        files = new MediaFiles(to, head);
      }
      const size = TIME_BYTES + head.datagramBytes;
      let at = 0;
      for (; at + size <= rest.length; at += size) {
        files?.add(rest.subarray(at + TIME_BYTES, at + size), rest.readBigUInt64BE(at));
      }
      rest = rest.subarray(at);
      done += at;
      progress.at(done, head.bytes);
    }
    if (head === undefined || files === undefined || rest.length > 0) throw new Error('the answer is cut off');
    return { head, files: files.finish() };
  } catch (cause) {
    files?.abandon();
    if (cause instanceof Error && 'syscall' in cause && cause.syscall !== 'read') throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    const what = `the sender ended the export before it was whole (${why}); nothing of it is left, and the sender's log says why`;
    throw new OperationalError('control-socket', what, { retryable: true, cause });
  } finally {
    progress.end();
  }
}
