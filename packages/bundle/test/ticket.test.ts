import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Gap, gapInWords, lastOf, type ObjectGap, rangesOf } from '../src/gap.ts';
import { encodeTicket, fittingGap, parseTicket, TICKET_BYTES, type TicketResult } from '../src/ticket.ts';
import { random, sha256 } from './samples.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const signed = (message: Uint8Array): Uint8Array => sign(null, message, privateKey);
const ticket = (gap: Gap): string => encodeTicket(gap, signed, sha256);
const codeOf = (result: TicketResult<unknown>): string => (result.ok ? 'ok' : result.error.code);
const read = (text: string) => parseTicket(text, sha256);

const gapOf = (objects: Gap['objects'], over: Partial<Gap> = {}): Gap => ({
  ...{ channel: 'prod', sequence: 12, symbolBytes: 1408, maxBlock: 200, objects },
  ...over,
});
const partial: readonly ObjectGap[] = [
  { object: 1, blocks: 'all' },
  { object: 2, blocks: 'all' },
  { object: 3, blocks: 'all' },
  {
    object: 5,
    blocks: [
      [0, 7],
      [9, 9],
      [11, 40_000],
    ],
  },
  { object: 9, blocks: 'all' },
  { object: 12, blocks: [[16_777_215, 16_777_215]] },
];

/** A gap with blocks missing here and there, by a seed. */
function randomGap(seed: number): Gap {
  const next = random(seed);
  const objects = rangesOf(Array.from({ length: 60 }, (_, i) => i).filter(() => next() % 3 === 0)).flatMap(
    ([first, last]): ObjectGap[] =>
      Array.from({ length: last - first + 1 }, (_, i) => {
        const blocks = Array.from({ length: 40 }, (__, sbn) => sbn).filter(() => next() % 9 === 0);
        return { object: first + i, blocks: next() % 2 === 0 || blocks.length === 0 ? 'all' : rangesOf(blocks) };
      }),
  );
  return gapOf(objects.length === 0 ? 'all' : objects, { sequence: 1 + (next() % 1000) });
}
/** E and B matter to a gap in blocks alone. */
const plain = (gap: Gap): Gap =>
  gap.objects === 'all' || gap.objects.every(({ blocks }) => blocks === 'all')
    ? { ...gap, symbolBytes: 0, maxBlock: 0 }
    : gap;

/** A writer that is not ours: it wraps and spells as it likes, and signs that. */
const spell = (...bodies: readonly string[]): string => {
  const own = ticket(gapOf('all'))
    .split('\n')
    .slice(1, -1)
    .map((line) => line.slice(3, -5));
  const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  return [...bodies, ...own]
    .map((line, i) => `${String(i + 1).padStart(2, '0')} ${line}`)
    .map((line) => {
      const [a = 0, b = 0, c = 0] = sha256(Buffer.from(line.toUpperCase()));
      const bits = (a << 16) | (b << 8) | c;
      return `${line} ${[19, 14, 9, 4].map((shift) => alphabet[(bits >>> shift) & 31]).join('')}`;
    })
    .join('\n');
};

describe('a ticket', () => {
  it('says what lacks, in lines that a person can type', () => {
    const [head, ...lines] = ticket(gapOf(partial)).split('\n');
    expect(head).toMatch(/^01 SLUICE-TICKET 1 prod 12 WHOLE 1-3 9 BLOCKS E1408 B200 5: 0-7 [0-9A-Z]{4}$/);
    expect(lines[0]).toMatch(/^02 9 11-40000 12: 16777215 [0-9A-Z]{4}$/);
    expect(lines[1]).toMatch(/^03 SIGN( [0-9A-Z]{5}){9} [0-9A-Z]{4}$/);
    expect(ticket(gapOf('all')).split('\n')[0]).toMatch(/^01 SLUICE-TICKET 1 prod 12 ALL [0-9A-Z]{4}$/);
    for (const line of [head, ...lines]) expect(line?.length).toBeLessThan(70);
  });

  it('is read as it was written, whatever the gap', () => {
    for (let seed = 0; seed < 300; seed += 1) {
      const gap = randomGap(seed);
      const result = read(ticket(gap));
      expect(result.ok ? result.value.gap : result.error, `seed ${seed}`).toEqual(plain(fittingGap(gap)));
    }
  });

  it('has bytes that are a function of the gap alone: one gap one ticket, one ticket one gap', () => {
    const seen = new Map<string, string>();
    for (let seed = 0; seed < 300; seed += 1) {
      const gap = randomGap(seed);
      const text = ticket(gap);
      // Once more, from a gap that was put together in another order of keys and at another time.
      const objects = gap.objects === 'all' ? 'all' : gap.objects.map(({ blocks, object }) => ({ blocks, object }));
      const { maxBlock, symbolBytes, sequence, channel } = gap;
      expect(ticket({ objects, maxBlock, symbolBytes, sequence, channel })).toBe(text);
      const told = JSON.stringify(plain(fittingGap(gap)));
      expect(seen.get(text) ?? told, `seed ${seed}`).toBe(told);
      seen.set(text, told);
    }
    expect(new Set(seen.values()).size).toBe(seen.size);
    // What a gap without blocks was numbered by is nowhere in it.
    expect(ticket(gapOf('all', { symbolBytes: 64 }))).toBe(ticket(gapOf('all')));
  });

  it('never has more than 2 KiB: the objects in most pieces are rounded up first, then all of the bundle', () => {
    const every = (step: number, count: number) => rangesOf(Array.from({ length: count }, (_, i) => i * step));
    const torn: ObjectGap[] = [
      { object: 2, blocks: every(2, 30) },
      { object: 3, blocks: every(2, 400) },
      { object: 4, blocks: every(2, 31) },
    ];
    const fitting = fittingGap(gapOf(torn));
    expect(fitting.objects).toEqual([torn[0], { object: 3, blocks: 'all' }, torn[2]]);
    const many = Array.from({ length: 500 }, (_, i): ObjectGap => ({ object: 2 + i, blocks: [[0, 0]] }));
    const rounded = fittingGap(gapOf(many)).objects;
    expect(rounded[0]).toMatchObject({ object: 2, blocks: 'all' });
    expect(rounded === 'all' ? 0 : lastOf(rounded[0]!)).toBeGreaterThan(200);
    const scattered = Array.from({ length: 900 }, (_, i): ObjectGap => ({ object: 2 + 2 * i, blocks: 'all' }));
    expect(fittingGap(gapOf(scattered)).objects).toBe('all');
    for (const objects of [torn, many, scattered]) {
      const text = ticket(gapOf(objects));
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(TICKET_BYTES);
      expect(codeOf(read(text))).toBe('ok');
    }
  });

  it('of half a million objects is fitted by looking at each a few times, and read without a list of them', () => {
    const count = 20_000;
    let looks = 0;
    const torn = Array.from({ length: count }, (_, i): ObjectGap => {
      const blocks = [[0, 0]] as const;
      return {
        object: 2 + i,
        get blocks() {
          looks += 1;
          return blocks;
        },
      };
    });
    const { objects } = fittingGap(gapOf(torn));
    expect(objects === 'all' ? 0 : lastOf(objects[0]!)).toBeGreaterThan(count - 410);
    expect(looks / count).toBeLessThan(20);
    const all = read(ticket(gapOf(Array.from({ length: 500_000 }, (_, i) => ({ object: 2 + i, blocks: 'all' })))));
    expect(all.ok && all.value.gap.objects).toEqual([{ object: 2, to: 500_001, blocks: 'all' }]);
  });

  it('may be typed in small letters, with O for 0 in its signature, and with spaces', () => {
    const text = ticket(gapOf(partial));
    const lines = text.split('\n');
    const typed = lines.map(
      (line) => `  ${(line.includes('SIGN') ? line.replaceAll('0', 'o') : line).toLowerCase()}\r`,
    );
    expect(read(typed.join('\n\n'))).toEqual(read(text));
  });

  it('names the line in which a character is wrong, missing or too many', () => {
    const lines = ticket(gapOf(partial)).split('\n').slice(0, -1);
    const next = random(1);
    for (const [index, line] of lines.entries()) {
      for (let at = 3; at < line.length; at += 1) {
        const other = Array.from('23456789ACEFGH').find((character) => character !== line[at])!;
        const odd = [line.slice(0, at) + other + line.slice(at + 1), line.slice(0, at) + line.slice(at + 1)];
        for (const wrong of line[at] === ' ' ? odd.slice(1) : odd) {
          const result = read(lines.with(index, next() % 2 === 0 ? wrong : wrong.toLowerCase()).join('\n'));
          expect([wrong, result.ok ? 'ok' : result.error.code]).toEqual([wrong, 'ticket-typing']);
          expect(result.ok ? '' : result.error.detail).toContain(`line 0${index + 1}`);
        }
      }
      const without = read(lines.toSpliced(index, 1).join('\n'));
      expect(without.ok ? '' : without.error.detail).toContain(`line 0${index + 1} is missing`);
    }
    expect(codeOf(read([lines[1], lines[0], ...lines.slice(2)].join('\n')))).toBe('ticket-typing');
  });

  it('is refused in any other spelling, even where its checks and signature hold', () => {
    expect(codeOf(read(spell('SLUICE-TICKET 1 prod 12 ALL')))).toBe('ok');
    for (const bodies of [
      ['SLUICE-TICKET 1 prod 12', 'ALL'],
      ['SLUICE-TICKET 2 prod 12 ALL'],
      ['SLUICE-TICKET 1 prod 0 ALL'],
      ['SLUICE-TICKET 1 prod 012 ALL'],
      ['SLUICE-TICKET 1 pr_d 12 ALL'],
      ['SLUICE-TICKET 1 prod 12'],
      ['SLUICE-TICKET 1 prod 12 ALL ALL'],
      ['SLUICE-TICKET 1 prod 12 WHOLE'],
      ['SLUICE-TICKET 1 prod 12 WHOLE 4 3'],
      ['SLUICE-TICKET 1 prod 12 WHOLE 3 4'],
      ['SLUICE-TICKET 1 prod 12 WHOLE 3-3'],
      ['SLUICE-TICKET 1 prod 12 WHOLE 4-3'],
      ['SLUICE-TICKET 1 prod 12 WHOLE 3-99999999'],
      ['SLUICE-TICKET 1 prod 12 BLOCKS E1408 B200 3: 1 2'],
      ['SLUICE-TICKET 1 prod 12 BLOCKS E1408 B200 3: 1 3: 5'],
      ['SLUICE-TICKET 1 prod 12 BLOCKS E1408 B200 4: 1 3: 5'],
      ['SLUICE-TICKET 1 prod 12 BLOCKS E1408 B200 3:'],
      ['SLUICE-TICKET 1 prod 12 BLOCKS E1408 B200 3: 16777216'],
      ['SLUICE-TICKET 1 prod 12 BLOCKS B200 E1408 3: 1'],
      ['SLUICE-TICKET 1 prod 12 WHOLE 3 BLOCKS E1408 B200 3: 1'],
      ['SLUICE-TICKET 1 prod 12 WHOLE 2-500001 BLOCKS E1408 B200 400000: 1'],
    ])
      expect([bodies, codeOf(read(spell(...bodies)))]).toEqual([bodies, 'ticket-malformed']);
    expect(codeOf(read('x'.repeat(5000)))).toBe('ticket-malformed');
    expect(codeOf(read(''))).toBe('ticket-typing');
  });

  it('that says more than one has room for is refused: whole objects are asked for instead', () => {
    const lines = (count: number) => {
      const words = Array.from({ length: count }, (_, i) => [`${100_000 + 2 * i}:`, '1-2']).flat();
      const rows = ['SLUICE-TICKET 1 prod 12 BLOCKS E1408 B200'];
      for (const word of words) {
        const row = `${rows.at(-1) ?? ''} ${word}`;
        if (row.length <= 60) rows[rows.length - 1] = row;
        else rows.push(word);
      }
      return spell(...rows);
    };
    expect(codeOf(read(lines(112)))).toBe('ok');
    expect(codeOf(read(lines(140)))).toBe('ticket-malformed');
  });

  it('is total: any change of any text is a ticket or a code', () => {
    const next = random(7);
    const text = ticket(gapOf(partial));
    const characters = Array.from('0123456789ABCDEFGHSIGN-: \n');
    for (let i = 0; i < 3000; i += 1) {
      const out = Array.from(text);
      for (let changes = 1 + (next() % 4); changes > 0; changes -= 1) {
        out.splice(next() % out.length, next() % 3, characters[next() % characters.length]!);
      }
      expect(codeOf(read(out.join('')))).toMatch(/^(ok|ticket-typing|ticket-malformed)$/);
    }
  });

  it('is told to people in words that say all of it', () => {
    expect(gapInWords(gapOf(partial))).toEqual([
      'Of bundle 12 of channel prod lack:',
      '  objects 1 to 3, 9, whole',
      '  of object 5 blocks 0 to 7, 9, 11 to 40000',
      '  of object 12 blocks 16777215',
      'Blocks of 200 symbols at most, of 1408 bytes each.',
    ]);
    expect(gapInWords(gapOf('all'))).toEqual(['All of bundle 12 of channel prod lacks.']);
  });
});
