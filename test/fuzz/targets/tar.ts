// A tar archive: the same in pieces of any size, and every member is one that we would write. Checksums are mended first when
// the first byte is odd; the rest of it says how small the pieces are.
import { TAR_MEMBER_BYTES, TAR_NAME_BYTES, tarHeader, tarTrailer } from '../../../packages/bundle/src/tar.ts';
import { TarReader } from '../../../packages/bundle/src/tar-reader.ts';
import { parsePax } from '../../../packages/bundle/src/tar-pax.ts';
import type { TarMember } from '../../../packages/bundle/src/index.ts';
import { archives, extension, mended } from '../tar-files.ts';
import { type FuzzTarget, check, joined, same, sameBytes, staysInside } from '../target.ts';

interface Found {
  readonly member: TarMember;
  readonly offset: number;
  readonly pieces: Uint8Array[];
  ended: boolean;
}

interface Outcome {
  readonly code: string;
  readonly members: readonly Found[];
}

/** All of an archive, pushed in pieces of `step` bytes; members are passed over where `skip` says so. */
function extract(bytes: Uint8Array, step: number, skip = false): Outcome {
  const reader = new TarReader();
  const members: Found[] = [];
  const take = (events: ReturnType<TarReader['push']>): string | undefined => {
    if (!events.ok) return events.error.code;
    for (const event of events.value) {
      const last = members.at(-1);
      if (event.kind === 'member') members.push({ ...event, pieces: [], ended: event.member.type === 'directory' });
      else if (event.kind === 'data') last?.pieces.push(event.bytes);
      else if (last !== undefined) last.ended = true;
    }
    return undefined;
  };
  for (let at = 0; at < bytes.length;) {
    const passed = skip ? Math.min(reader.pending, bytes.length - at) : 0;
    const piece = bytes.subarray(at, at + step);
    const code = take(passed > 0 ? reader.skip(passed) : reader.push(piece));
    if (code !== undefined) return { code, members };
    at += passed > 0 ? passed : piece.length;
  }
  const finished = reader.finish();
  return { code: finished.ok ? 'ok' : finished.error.code, members };
}

const shape = ({ code, members }: Outcome) => ({
  code,
  members: members.map(({ member, offset, ended }) => ({ member, offset, ended })),
});

/** The header that we write for a member tells of that member. */
function written(member: TarMember): void {
  const again = extract(joined(tarHeader(member), member.size === 0 ? tarTrailer() : []), 512);
  same(again.members[0]?.member, member, 'a member read, written and read');
}

function run(input: Uint8Array): void {
  const mode = input[0] ?? 0;
  const bytes = mode % 2 === 1 ? mended(input.subarray(1)) : input.subarray(1);
  const whole = extract(bytes, Math.max(1, bytes.length));
  const parts = extract(bytes, 1 + (mode >> 1) * 5);
  // A refusal in the middle of a piece takes what came before it in that piece along.
  if (whole.code === 'ok') {
    same(shape(parts), shape(whole), 'an archive in pieces');
    same(shape(extract(bytes, 512, true)), shape(whole), 'an archive whose members are passed over');
  } else check(parts.code === whole.code, `refused with ${whole.code}, in pieces ${parts.code}`);
  for (const { member, offset, pieces, ended } of whole.members) {
    check(staysInside(member.path), `a member is named ${JSON.stringify(member.path)}`);
    check(member.path.length <= TAR_NAME_BYTES && member.size <= TAR_MEMBER_BYTES, 'a member beyond its limits');
    if (!ended) continue;
    const content = joined(...pieces);
    check(content.length === member.size, `${content.length} bytes of a member of ${member.size}`);
    sameBytes(content, bytes.subarray(offset, offset + member.size), 'the bytes of a member');
    written(member);
  }
  const pax = parsePax(input.subarray(1));
  if (pax.ok) check((pax.value.size ?? 0) <= TAR_MEMBER_BYTES && pax.value.path !== '', 'a pax header');
}

function* seeds(): Generator<Uint8Array> {
  for (const bytes of archives()) yield joined([7], bytes);
  yield joined([0], extension('x', new Uint8Array(2000).fill(0x30)));
  yield joined([6], new Uint8Array(1536));
}

export const target: FuzzTarget = {
  about: 'a tar archive: the same in pieces of any size, no member outside the root, each one that we would write',
  files: ['packages/bundle/src/tar-reader.ts', 'packages/bundle/src/tar-pax.ts', 'packages/bundle/src/tar.ts'],
  bytesMax: 5121,
  words: ['ustar\u000000', 'ustar  \0', 'path=', 'size=', 'GNU.sparse.', '0000644\0', '../', './'],
  run,
  seeds,
};
