import { fstatSync, readSync } from 'node:fs';
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
export function indexArchive(root: Root, file: Location, limit: number): Result<ReadonlyMap<string, Location>> {
  const opened = root.openFile(file.path);
  if (!opened.ok) return opened;
  using open = opened.value;
  return index(open.descriptor, file.size, limit, (_name, offset, size) => ({ path: file.path, offset, size }));
}

/** The members of the root's own archive. Refuses as `indexArchive`. */
export function indexHeld(root: Root, limit: number): Result<ReadonlyMap<string, Location>> {
  if (root.archive === undefined) return ok(new Map());
  return index(root.archive, fstatSync(root.archive).size, limit, (path, offset, size) => ({
    path,
    offset,
    size,
    held: true,
  }));
}

function index(
  descriptor: number,
  bytes: number,
  limit: number,
  located: (name: string, offset: number, size: number) => Location,
): Result<ReadonlyMap<string, Location>> {
  const reader = new TarReader();
  const members = new Map<string, Location>();
  const buffer = new Uint8Array(STEP_BYTES);
  for (let at = 0; at < bytes;) {
    const got = readSync(descriptor, buffer, 0, STEP_BYTES, at);
    if (got === 0) break;
    at += got;
    const events = reader.push(buffer.subarray(0, got));
    if (!events.ok) return events;
    for (const event of events.value) {
      if (event.kind !== 'member' || event.member.type !== 'file') continue;
      const { path: name, size } = event.member;
      if (members.has(name)) return refuse('layout-malformed', `The archive has two members ${JSON.stringify(name)}.`);
      if (members.size >= limit) return refuse('bundle-too-large', `The archive has more than ${limit} members.`);
      members.set(name, located(name, event.offset, size));
    }
    const passed = Math.min(reader.pending, bytes - at);
    at += passed;
    reader.skip(passed);
  }
  const finished = reader.finish();
  return finished.ok ? ok(members) : finished;
}
