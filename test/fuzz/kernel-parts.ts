// What the target of the kernel receives with: a spool, and the words that tell the kernel where datagrams lie.
import { partition } from '../../packages/fec/src/index.ts';
import { type ObjectInfo, spoolKey, type SpoolPort } from '../../packages/transfer/src/index.ts';
import { check, joined } from './target.ts';

/** What is whole of each object, as small as it may be: one is made in nearly every story. */
export class Spool implements SpoolPort {
  readonly objects = new Map<string, { readonly bytes: Uint8Array; readonly stored: Uint8Array }>();

  open(info: ObjectInfo): { readonly stored: Uint8Array } {
    const key = spoolKey(info);
    const { blocks } = partition(info.size, info.symbolBytes, info.maxBlock);
    const known = this.objects.get(key);
    const object = known ?? { bytes: new Uint8Array(info.size), stored: new Uint8Array(Math.ceil(blocks / 8)) };
    if (known === undefined) this.objects.set(key, object);
    return object;
  }

  block(info: ObjectInfo, sbn: number, offset: number, bytes: Uint8Array, release: () => void): 'stored' {
    const { bytes: all, stored } = this.objects.get(spoolKey(info)) ?? {};
    check(all !== undefined && stored !== undefined, 'a block of an object that was never opened');
    all.set(bytes, offset);
    stored[sbn >>> 3] = (stored[sbn >>> 3] ?? 0) | (1 << (sbn & 7));
    release();
    return 'stored';
  }
}

/** Datagrams of one length that follow each other are one run, and a shorter one may end it, as the kernel of the system merges them. */
export function runsOf(
  datagrams: readonly Uint8Array[],
  from: number,
): { readonly words: number[]; readonly bytes: Uint8Array } {
  const words: number[] = [];
  let at = from;
  let open = false;
  for (const { length } of datagrams) {
    const last = words.length - 3;
    const size = words[last + 2] ?? 0;
    if (open && length <= size && length > 0) words[last + 1] = (words[last + 1] ?? 0) + length;
    else words.push(at, length, length);
    open = length > 0 && (words.at(-1) ?? 0) === length;
    at += length;
  }
  return { words, bytes: joined(...datagrams) };
}
