import { TarReader } from '../src/tar-reader.ts';
import { tarHeader, tarPadding, tarTrailer } from '../src/tar.ts';
import type { Result } from '@sluice/ports';

export interface Extracted {
  readonly path: string;
  readonly type: string;
  readonly bytes: Buffer;
  readonly offset: number;
}

/** Everything in an archive, pushed in pieces of `step` bytes. */
export function extract(archive: Uint8Array, step = archive.length): Result<Extracted[]> {
  const reader = new TarReader();
  const members: { path: string; type: string; pieces: Uint8Array[]; offset: number }[] = [];
  for (let at = 0; at < archive.length; at += step) {
    const events = reader.push(archive.subarray(at, at + step));
    if (!events.ok) return events;
    for (const event of events.value) {
      if (event.kind === 'member') members.push({ ...event.member, pieces: [], offset: event.offset });
      if (event.kind === 'data') members.at(-1)?.pieces.push(event.bytes);
    }
  }
  const finished = reader.finish();
  if (!finished.ok) return finished;
  return {
    ok: true,
    value: members.map(({ path, type, pieces, offset }) => ({ path, type, offset, bytes: Buffer.concat(pieces) })),
  };
}

/** The code with which an archive is refused, or `ok`. The same in one push and byte by byte. */
export function codeOf(archive: Uint8Array): string {
  const whole = extract(archive);
  const bytewise = extract(archive, 1);
  const code = whole.ok ? 'ok' : whole.error.code;
  if (code !== (bytewise.ok ? 'ok' : bytewise.error.code))
    throw new Error('the size of the chunks changed the outcome');
  return code;
}

/** One regular member, whole. */
export const member = (path: string, bytes: Uint8Array | string = ''): Buffer => {
  const data = Buffer.from(bytes);
  return Buffer.concat([
    tarHeader({ path, type: 'file', size: data.length }),
    data,
    Buffer.alloc(tarPadding(data.length)),
  ]);
};

export const archive = (...pieces: Uint8Array[]): Buffer => Buffer.concat([...pieces, tarTrailer()]);

/** A header block changed by `change`, with its checksum made right again. */
export function changed(header: Uint8Array, change: (block: Buffer) => void): Buffer {
  const block = Buffer.from(header);
  change(block);
  block.fill(0x20, 148, 156);
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** A pax or GNU extended header with this body. */
export const extension = (typeflag: string, body: Uint8Array | string): Buffer => {
  const data = Buffer.from(body);
  const header = changed(tarHeader({ path: 'extended', type: 'file', size: data.length }), (block) => {
    block.write(typeflag, 156, 'latin1');
  });
  return Buffer.concat([header, data, Buffer.alloc(tarPadding(data.length))]);
};

export const paxRecord = (key: string, value: string): string => {
  const rest = ` ${key}=${value}\n`;
  const length = Buffer.byteLength(rest);
  const digits = String(length + String(length + 2).length).length;
  return `${length + digits}${rest}`;
};
