/** Blocks from the first to the last of them. */
export type BlockRange = readonly [first: number, last: number];

/** What lacks of one object, or of objects in a row: all of it, or some of its source blocks. */
export interface ObjectGap {
  /** 0 the transport statement, 1 the release statement, 2 and up the objects as the transport statement lists them. */
  readonly object: number;
  /** The last of several in a row, which lack whole. */
  readonly to?: number;
  readonly blocks: 'all' | readonly BlockRange[];
}

/** What lacks of one bundle, in numbers that its sender gave (docs/PROTOCOL.md section 12). */
export interface Gap {
  readonly channel: string;
  readonly sequence: number;
  /** E and B, by which blocks are numbered. */
  readonly symbolBytes: number;
  readonly maxBlock: number;
  /** All of the bundle, or objects in ascending order. */
  readonly objects: 'all' | readonly ObjectGap[];
}

/** Numbers in ascending order as ranges. */
export function rangesOf(numbers: Iterable<number>): BlockRange[] {
  const ranges: [number, number][] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
}

export const lastOf = ({ object, to = object }: ObjectGap): number => to;

/** The gap with objects in a row that lack whole told as one: so many objects may lack that each of them is too much to tell. */
export function joinedUp(gap: Gap): Gap {
  if (gap.objects === 'all') return gap;
  const objects: ObjectGap[] = [];
  for (const each of gap.objects) {
    const before = objects.at(-1);
    const follows = before?.blocks === 'all' && each.blocks === 'all' && lastOf(before) === each.object - 1;
    if (follows) objects[objects.length - 1] = { ...before, to: lastOf(each) };
    else objects.push(each);
  }
  return { ...gap, objects };
}

/** How many objects lack in part. */
export const partialIn = ({ objects }: Gap): number =>
  objects === 'all' ? 0 : objects.reduce((sum, { blocks }) => sum + Number(blocks !== 'all'), 0);

/** A gap that is joined up, with the first `count` of its incomplete objects, those in most pieces first, asked for whole. */
export function roundedUp(gap: Gap, count: number): Gap {
  if (gap.objects === 'all' || count === 0) return gap;
  const partial = gap.objects.filter(({ blocks }) => blocks !== 'all');
  const pieces = ({ blocks }: ObjectGap): number => (blocks === 'all' ? 0 : blocks.length);
  partial.sort((a, b) => pieces(b) - pieces(a) || a.object - b.object);
  const whole = new Set(partial.slice(0, count).map(({ object }) => object));
  const objects = gap.objects.map((each) => (whole.has(each.object) ? { ...each, blocks: 'all' as const } : each));
  return joinedUp({ ...gap, objects });
}

/** The objects that lack whole, as ranges, of a gap that is joined up. */
export const wholeIn = (objects: readonly ObjectGap[]): BlockRange[] =>
  objects.flatMap((each): BlockRange[] => (each.blocks === 'all' ? [[each.object, lastOf(each)]] : []));

const inWords = (ranges: readonly BlockRange[]): string =>
  ranges.map(([first, last]) => (first === last ? String(first) : `${String(first)} to ${String(last)}`)).join(', ');

/** The gap for people, a line for each part: all that a ticket of it tells. */
export function gapInWords(gap: Gap): string[] {
  const { channel, sequence, objects, symbolBytes, maxBlock } = joinedUp(gap);
  const of = `bundle ${String(sequence)} of channel ${channel}`;
  if (objects === 'all') return [`All of ${of} lacks.`];
  const whole = wholeIn(objects);
  const partial = objects.filter(({ blocks }) => blocks !== 'all');
  return [
    `Of ${of} lack:`,
    ...(whole.length === 0 ? [] : [`  objects ${inWords(whole)}, whole`]),
    ...partial.map(
      ({ object, blocks }) => `  of object ${String(object)} blocks ${blocks === 'all' ? '' : inWords(blocks)}`,
    ),
    ...(partial.length === 0
      ? []
      : [`Blocks of ${String(maxBlock)} symbols at most, of ${String(symbolBytes)} bytes each.`]),
  ];
}
