// What link and receiver say to each other, a JSON object a line: the same in pieces of any size, until the first line that is no
// message. The first byte says whose messages they are and how small the pieces.
import { Duplex } from 'node:stream';
import { attachLines, encodeLine } from '../../../packages/base/src/lines.ts';
import { ALLOW_DIGESTS, isDigest, parseLinkMessage, parseReceiverMessage } from '../../../packages/ports/src/index.ts';
import { type FuzzTarget, check, joined, same, utf8 } from '../target.ts';

const LINE_MAX = 600;
type Parse = (value: unknown) => { readonly type: string } | undefined;

interface Said {
  readonly messages: unknown[];
  fault: string | undefined;
}

/** What is heard of a stream that comes in such pieces. */
async function heard(bytes: Uint8Array, size: number, parse: Parse): Promise<Said> {
  const said: Said = { messages: [], fault: undefined };
  const stream = new Duplex({
    allowHalfOpen: false,
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(),
  });
  const peer = attachLines(stream, {
    lineBytesMax: LINE_MAX,
    parse: (value) => {
      const message = parse(value);
      return message === undefined ? { ok: false, error: 'no message' } : { ok: true, value: message };
    },
    onMessage: (message) => void said.messages.push(message),
    onFault: ({ code }) => {
      said.fault = code;
    },
  });
  for (let at = 0; at < bytes.length; at += size) stream.push(Buffer.from(bytes.subarray(at, at + size)));
  stream.push(null);
  await peer.closed;
  return said;
}

/** The same, from all of the bytes at once. */
function expected(bytes: Uint8Array, parse: Parse): Said {
  const said: Said = { messages: [], fault: undefined };
  let from = 0;
  while (from < bytes.length) {
    const found = bytes.indexOf(10, from);
    const end = found < 0 ? bytes.length : found;
    if (end - from > LINE_MAX) return { ...said, fault: 'line-too-long' };
    if (found < 0) return said;
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(from, end)));
    } catch {
      return { ...said, fault: 'line-malformed' };
    }
    const message = parse(value);
    if (message === undefined) return { ...said, fault: 'line-refused' };
    said.messages.push(message);
    from = end + 1;
  }
  return said;
}

/** What is counted on of a message of the receiver: link obeys it. */
function obeyed(message: unknown): void {
  const { type, digests, channel } = message as { type: string; digests?: unknown[]; channel: unknown };
  check(typeof channel === 'string', 'a message without a channel');
  if (type === 'allow')
    check(digests !== undefined && digests.length <= ALLOW_DIGESTS && digests.every(isDigest), 'digests');
}

async function run(input: Uint8Array): Promise<void> {
  const mode = input[0] ?? 0;
  const bytes = input.subarray(1);
  const parse = mode % 2 === 0 ? parseLinkMessage : parseReceiverMessage;
  const wanted = expected(bytes, parse);
  const said = await heard(bytes, 1 + (mode >> 1) * 8, parse);
  same(said, wanted, 'lines in pieces');
  if (mode % 2 === 1) said.messages.forEach(obeyed);
}

const DIGEST = `sha256:${'0a'.repeat(32)}` as const;
const object = { channel: 'prod', key: 'k', digest: DIGEST, size: 9, contentType: 'a/b', path: '/x' };
const FROM_LINK = [
  { type: 'hello', protocol: 1, tsi: 5, io: 'native', receiveBuffer: 65_536 },
  { type: 'object', ...object },
  { type: 'grown', ...object, bytes: 3 },
  { type: 'progress', channel: 'prod', digest: DIGEST, size: 9, blocks: 2, stored: 1 },
  { type: 'heartbeat', channel: 'prod', tsi: 5, senderNtp: 7, body: '{}' },
  { type: 'margin', channel: 'prod', digest: DIGEST, worst: 1, recovered: 0 },
  { type: 'alarm', code: 'spool-full', detail: 'd' },
  { type: 'status', tsi: 5, numbers: { a: 1 }, verdicts: { accepted: 2 }, stageNs: { split: 1.5 } },
];
const FROM_RECEIVER = [
  { type: 'allow', channel: 'prod', digests: [DIGEST] },
  { type: 'settle', channel: 'prod', key: 'k' },
  { type: 'forget', channel: 'prod', key: 'k' },
];

function* seeds(): Generator<Uint8Array> {
  const all = (messages: readonly unknown[]): Uint8Array => joined(...messages.map((message) => encodeLine(message)));
  yield joined([0], all(FROM_LINK.slice(0, 4)));
  yield joined([20], all(FROM_LINK.slice(4)));
  yield joined([255], all(FROM_RECEIVER));
  for (const message of FROM_LINK) yield joined([2], all([message]));
  yield joined([2], all([{ ...FROM_LINK[6], code: 'constructor' }]));
  yield joined([2], all([{ ...FROM_LINK[7], numbers: { a: '1' } }]));
  yield joined([2], all([{ type: 'constructor' }]));
  yield joined([3], all([{ type: 'allow', channel: 'prod', digests: ['x'] }]));
  yield joined([3], all([[], 7]));
  yield joined([1], utf8('{"type":"settle"\n'));
  yield joined([3], all([FROM_RECEIVER[1], { ...FROM_RECEIVER[1], more: 'x'.repeat(550) }, FROM_RECEIVER[2]]));
  yield joined(
    [255],
    all([FROM_RECEIVER[1], { type: 'settle', channel: 'prod', key: 'x'.repeat(558) }, FROM_RECEIVER[2]]),
  );
  yield joined([1], utf8(`"${'x'.repeat(700)}`));
  yield joined([1], utf8(`"${'x'.repeat(700)}"\n`));
  yield joined([255], utf8(`"${'x'.repeat(700)}"\n`));
  yield joined([1], Uint8Array.of(0xef, 0xbb, 0xbf, 0x31, 10));
  yield joined([1]);
}

export const target: FuzzTarget = {
  about:
    'lines between link and receiver: the same in pieces of any size, nothing taken behind a line that is no message',
  files: ['packages/base/src/lines.ts', 'packages/ports/src/link-messages.ts'],
  beside: ['encodeLine', 'send', 'queuedBytes', 'close'],
  bytesMax: 1400,
  waits: true,
  words: [
    ...['{"type":"', '"hello"', '"object"', '"grown"', '"progress"', '"heartbeat"', '"margin"', '"alarm"', '"status"'],
    ...[
      '"allow"',
      '"settle"',
      '"forget"',
      '"channel":"',
      '"digest":"',
      '"digests":[',
      '"size":',
      '"path":"',
      DIGEST,
      '}\n',
    ],
    ...['"numbers":{', '"verdicts":{', '"stageNs":{', '"protocol":1', '"tsi":', '"__proto__":', 'spool-full'],
  ],
  run,
  seeds,
};
