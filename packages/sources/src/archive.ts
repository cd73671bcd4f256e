import { ok, refuse } from '@sluice/ports';
import type { Result } from '@sluice/ports';
import { TAR_BLOCK, TarReader } from '@sluice/bundle';
import type { Root, Location } from './beneath.ts';

/** Bytes read at a member's end: its padding, and the next headers. */
const STEP_BYTES = 64 * TAR_BLOCK;

/**
 * Where the regular members of a `.tar` lie, by name. Reads headers only: the bytes of members are passed over. Refuses what TarReader refuses,
 * `layout-malformed` for two members of one name, and `bundle-too-large` beyond `limit` members.
 */
export async function indexArchive(
  root: Root,
  file: Location,
  limit: number,
): Promise<Result<ReadonlyMap<string, Location>>> {
  const opened = await root.openFile(file.path);
  if (!opened.ok) return opened;
  await using handle = opened.value;
  const reader = new TarReader();
  const members = new Map<string, Location>();
  const buffer = new Uint8Array(STEP_BYTES);
  for (let at = 0; at < file.size;) {
    const { bytesRead } = await handle.read(buffer, 0, STEP_BYTES, at);
    if (bytesRead === 0) break;
    at += bytesRead;
    const events = reader.push(buffer.subarray(0, bytesRead));
    if (!events.ok) return events;
    for (const event of events.value) {
      if (event.kind !== 'member' || event.member.type !== 'file') continue;
      const { path: name, size } = event.member;
      if (members.has(name)) return refuse('layout-malformed', `The archive has two members ${JSON.stringify(name)}.`);
      if (members.size >= limit) return refuse('bundle-too-large', `The archive has more than ${limit} members.`);
      members.set(name, { path: file.path, offset: event.offset, size });
    }
    const passed = Math.min(reader.pending, file.size - at);
    at += passed;
    reader.skip(passed);
  }
  const finished = reader.finish();
  return finished.ok ? ok(members) : finished;
}
