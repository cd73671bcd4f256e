// A ticket as a person types it. An odd first byte stands for a typist who makes no errors: each line then gets its number and its
// check. With its second bit, a gap several times that of the ticket is written, too.
import { hash } from 'node:crypto';
import {
  encodeTicket,
  fittingGap,
  type Gap,
  gapInWords,
  lastOf,
  type ObjectGap,
  parseTicket,
  TICKET_BYTES,
} from '../../../packages/bundle/src/index.ts';
import { type FuzzTarget, check, joined, same, utf8 } from '../target.ts';

const sha256 = (...pieces: Uint8Array[]): Uint8Array => hash('sha256', joined(...pieces), 'buffer');
/** Gaps that are put together for a larger one, and the last number that an object may have. */
const COPIES = 4;
const OBJECT_MAX = 500_001;
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** Four characters for a line, after docs/PROTOCOL.md section 12 and not after the code under test. */
function checkOf(line: string): string {
  const ascii = Uint8Array.from(line.toUpperCase(), (character) => character.charCodeAt(0) & 0x7f);
  const bits = [...sha256(ascii).subarray(0, 3)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return Array.from({ length: 4 }, (_, i) => ALPHABET[Number.parseInt(bits.slice(5 * i, 5 * i + 5), 2)]).join('');
}

/** Lines without number and check as a ticket has them. */
function typed(text: string): string {
  let signing = false;
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines
    .map((line, i) => {
      const words = line.trim().toUpperCase().split(/\s+/);
      signing ||= words[0] === 'SIGN';
      const digits = words.map((word) =>
        signing && word !== 'SIGN' ? word.replace(/O/g, '0').replace(/[IL]/g, '1') : word,
      );
      const numbered = `${String(i + 1).padStart(2, '0')} ${digits.join(' ')}`;
      return `${numbered} ${checkOf(numbered)}\n`;
    })
    .join('');
}

/** All that a gap says, to machines and to people. */
const told = (gap: Gap) => {
  const { objects, ...rest } = gap;
  const listed = objects === 'all' ? objects : objects.map((each) => [each.object, lastOf(each), each.blocks]);
  return { ...rest, objects: listed, words: gapInWords(gap) };
};

/** E and B matter to a gap in blocks alone. */
const plain = (gap: Gap): Gap =>
  gap.objects === 'all' || gap.objects.every(({ blocks }) => blocks === 'all')
    ? { ...gap, symbolBytes: 0, maxBlock: 0 }
    : gap;

/** What has no room in a ticket is asked for in whole objects, with as few as may be. */
function larger(gap: Gap, signature: Uint8Array): void {
  if (gap.objects === 'all') return;
  const step = lastOf(gap.objects.at(-1) ?? { object: 0, blocks: 'all' }) + 1;
  const copies = Math.min(COPIES, Math.floor(OBJECT_MAX / step));
  const objects = Array.from({ length: copies }, (_, i) => moved(gap.objects, i * step)).flat();
  const wanted = { ...gap, objects };
  const written = encodeTicket(wanted, () => signature, sha256);
  check(written.length <= TICKET_BYTES, 'a ticket beyond its limit');
  const read = parseTicket(written, sha256);
  check(read.ok, 'the ticket of a large gap is refused');
  const fitting = fittingGap(wanted);
  same(told(read.value.gap), told(plain(fitting)), 'a large gap, written and read');
  if (fitting.objects !== 'all') covers(fitting.objects, objects);
}

/** Nothing less is asked for than lacks. Both are in the order of the objects. */
function covers(asked: readonly ObjectGap[], lacking: readonly ObjectGap[]): void {
  let at = 0;
  for (const each of lacking) {
    while (at < asked.length && lastOf(asked[at] ?? each) < each.object) at += 1;
    const { object, blocks } = asked[at] ?? { object: Infinity, blocks: [] };
    const whole = blocks === 'all' && object <= each.object && lastOf(each) <= lastOf(asked[at] ?? each);
    check(whole || (object === each.object && blocks === each.blocks), `object ${each.object} is not asked for`);
  }
}

const moved = (objects: Gap['objects'], by: number): ObjectGap[] =>
  objects === 'all'
    ? []
    : objects.map((each) => ({
        ...each,
        object: each.object + by,
        ...(each.to === undefined ? {} : { to: each.to + by }),
      }));

function run(input: Uint8Array): void {
  const text = Buffer.from(input.subarray(1)).toString('latin1');
  const mode = input[0] ?? 0;
  const mends = mode % 2 === 1;
  const parsed = parseTicket(mends ? typed(text) : text, sha256);
  if (!parsed.ok) {
    check(
      ['ticket-malformed', 'ticket-typing'].includes(parsed.error.code),
      `a ticket is refused with ${parsed.error.code}`,
    );
    return;
  }
  const { gap, signature } = parsed.value;
  check(signature.length === 64, 'the length of a signature');
  const written = encodeTicket(gap, () => signature, sha256);
  check(written.length <= TICKET_BYTES, 'a ticket beyond its limit');
  // What is read has room in a ticket, so it is written as it is.
  same(told(fittingGap(gap)), told(gap), 'a gap that was read, fitted to a ticket');
  const again = parseTicket(written, sha256);
  check(again.ok, 'a ticket read and written again is refused');
  same(told(again.value.gap), told(gap), 'a ticket read, written and read');
  check(Buffer.compare(again.value.signature, signature) === 0, 'another signature');
  if ((mode & 2) === 2) larger(gap, signature);
  const careless = written.toLowerCase().replaceAll('\n', '  \n\n');
  const typedSo = parseTicket(careless, sha256);
  check(typedSo.ok, 'a ticket in small letters is refused');
  same(told(typedSo.value.gap), told(gap), 'a ticket in small letters');
}

const SIGNATURE = Uint8Array.from({ length: 64 }, (_, i) => i * 3);
const gapOf = (objects: Gap['objects']): Gap => {
  return { channel: 'prod', sequence: 12, symbolBytes: 1408, maxBlock: 200, objects };
};

/** The lines of a ticket without number and check. */
const body = (ticket: string): string =>
  ticket
    .split('\n')
    .map((line) => line.slice(3, -5))
    .join('\n');

/** Tickets of large gaps. */
function* large(sign: string): Generator<Uint8Array> {
  const many = Array.from({ length: 90 }, (_, i) => {
    return {
      object: i,
      blocks: [
        [1, 2],
        [4, 5],
        [7, 9],
      ] as const,
    };
  });
  for (const mode of [0, 2]) yield joined([mode], utf8(encodeTicket(gapOf(many), () => SIGNATURE, sha256)));
  const huge = Array.from({ length: 3000 }, (_, i) => {
    return { object: 3 * i, blocks: [[1, 2]] as const };
  });
  yield joined([0], utf8(encodeTicket(gapOf(huge), () => SIGNATURE, sha256)));
  // More than a ticket has room for, in lines as they are written: whole objects are asked for instead.
  const words = many.flatMap(({ object }) => [`${object * 2000}:`, '1-2', '4-5', '7-9']);
  const lines = ['SLUICE-TICKET 1 prod 12 BLOCKS E1408 B200'];
  for (const word of words) {
    const last = `${lines.at(-1) ?? ''} ${word}`;
    if (last.length <= 60) lines[lines.length - 1] = last;
    else lines.push(word);
  }
  yield joined([1], utf8(`${lines.join('\n')}\nSIGN${sign}`));
}

function* seeds(): Generator<Uint8Array> {
  const gaps = [
    gapOf('all'),
    gapOf([{ object: 1, blocks: 'all' }]),
    gapOf([
      { object: 1, blocks: 'all' },
      { object: 2, blocks: 'all' },
      {
        object: 5,
        blocks: [
          [0, 7],
          [9, 9],
          [11, 40_000],
        ],
      },
      { object: 12, blocks: [[16_777_215, 16_777_215]] },
    ]),
  ];
  for (const gap of gaps) {
    const ticket = encodeTicket(gap, () => SIGNATURE, sha256);
    yield joined([0], utf8(ticket));
    for (const mode of [1, 3]) yield joined([mode], utf8(body(ticket)));
    yield joined([0], utf8(ticket.replace('prod', 'prob')));
    yield joined([0], utf8(ticket.split('\n').slice(1).join('\n')));
    yield joined([0], utf8(ticket.split('\n').slice(0, -3).join('\n')));
  }
  const sign = body(encodeTicket(gapOf('all'), () => SIGNATURE, sha256)).split('SIGN')[1] ?? '';
  const heads = [
    'SLUICE-TICKET 1 prod 12 WHOLE 3-1',
    'SLUICE-TICKET 1 prod 12 WHOLE',
    'SLUICE-TICKET 1 prod 12 WHOLE 1 2',
    'SLUICE-TICKET 1 prod 12 WHOLE 0-500001',
    'SLUICE-TICKET 1 prod 12 WHOLE 01',
    'SLUICE-TICKET 1 prod 12 WHOLE 1-2-3',
    'SLUICE-TICKET 1 prod 12 ALL 1',
    'SLUICE-TICKET 1 prod 0 ALL',
    'SLUICE-TICKET 2 prod 1 ALL',
    'SLUICE-TICKET 1 prod 12',
    'SLUICE-TICKET 1 prod 12 BLOCKS E1408 B200',
    'SLUICE-TICKET 1 prod 12 BLOCKS E1408 B251 1: 1',
    'SLUICE-TICKET 1 prod 12 BLOCKS E1408 B200 1: 1 1: 2',
    'SLUICE-TICKET 1 prod 12 BLOCKS E1408 B200 1: 2 1',
    'SLUICE-TICKET 1 prod 12 WHOLE 1-500001',
    'SLUICE-TICKET  1 prod\n12 ALL',
    'SLUICE-TICKET 1 prod 12\nALL',
  ];
  yield* large(sign);
  for (const head of heads) yield joined([1], utf8(`${head}\nSIGN${sign}`));
  yield joined([1], utf8(`SLUICE-TICKET 1 prod 12 ALL\nSIGN${sign.slice(0, 40)}`));
  yield joined([1], utf8(`SLUICE-TICKET 1 prod 12 ALL\nSIGN${sign}00000`));
  yield joined([1], utf8(`SLUICE-TICKET 1 prod 12 ALL\nSIGN${sign.replace(/\w/, 'U')}`));
  yield joined([0], new Uint8Array(4097).fill(0x41));
}

export const target: FuzzTarget = {
  about: 'a ticket: one gap has one spelling, whatever the letters and spaces, within its limits',
  files: ['packages/bundle/src/ticket.ts', 'packages/bundle/src/gap.ts'],
  beside: ['rangesOf'],
  bytesMax: 4200,
  words: [
    'SLUICE-TICKET 1 ',
    ' ALL',
    ' WHOLE ',
    ' BLOCKS E1408 B200 ',
    '\nSIGN ',
    '1-3',
    '5: 0-7',
    '500001',
    '16777215',
  ],
  run,
  seeds,
};
