import { lstat, opendir, realpath } from 'node:fs/promises';
import { basename, join as joinPath } from 'node:path';
import { ok, OperationalError } from '@sluice/ports';
import type { Result } from '@sluice/ports';
import { pathFault, tarHeader, tarPadding, TarReader, tarTrailer } from '@sluice/bundle';
import type { TarEvent, TarMember } from '@sluice/bundle';
import type { FileHandle } from 'node:fs/promises';
import { readRange, Root } from './beneath.ts';
import { join, shown } from './scan.ts';
import type { ScanLimits } from './scan.ts';
import { append, TreeWriter } from './tree.ts';

/**
 * A tar of these paths, read as the caller. The content of one directory alone is the bundle; of several paths each goes under its own base name.
 * Throws OperationalError `submit-input` for what the other side would refuse anyway: links, special files, names, files that change meanwhile.
 */
export async function* writeSubmitStream(paths: readonly string[]): AsyncGenerator<Uint8Array> {
  const [only] = paths;
  if (paths.length === 1 && only !== undefined && (await lstat(await resolved(only))).isDirectory()) {
    yield* packDirectory(await resolved(only), '');
  } else {
    const names = new Set<string>();
    for (const path of paths) {
      const name = basename(path);
      if (names.has(name))
        throw submitFault(`Two of the paths are named ${shown(name)}; submit a directory that holds both.`);
      names.add(name);
      yield* packPath(await resolved(path), name);
    }
  }
  yield tarTrailer();
}

/** Where a path that the caller named leads: links to what is submitted are followed, links in it are not. */
async function resolved(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw submitFault(
      `${shown(path)} cannot be read: ${(error as Error).message}; name a file or directory that is there.`,
    );
  }
}

async function* packPath(path: string, name: string): AsyncGenerator<Uint8Array> {
  if ((await lstat(path)).isDirectory()) {
    yield tarHeader(checked({ path: name, type: 'directory', size: 0 }));
    yield* packDirectory(path, name);
    return;
  }
  const root = await Root.open(joinPath(path, '..'));
  if (!root.ok) throw submitFault(root.error.detail);
  try {
    yield* packFile(root.value, basename(path), name);
  } finally {
    await root.value.close();
  }
}

async function* packDirectory(path: string, prefix: string): AsyncGenerator<Uint8Array> {
  const names: string[] = [];
  for await (const entry of await opendir(path)) names.push(entry.name);
  const root = await Root.open(path);
  if (!root.ok) throw submitFault(root.error.detail);
  try {
    for (const name of names.sort()) {
      const stat = await root.value.stat(name);
      if (!stat.ok) throw submitFault(stat.error.detail);
      const member = join(prefix, name);
      if (stat.value.type === 'file') yield* packFile(root.value, name, member);
      else {
        yield tarHeader(checked({ path: member, type: 'directory', size: 0 }));
        yield* packDirectory(joinPath(path, name), member);
      }
    }
  } finally {
    await root.value.close();
  }
}

async function* packFile(root: Root, name: string, member: string): AsyncGenerator<Uint8Array> {
  const opened = await root.openFile(name);
  if (!opened.ok) throw submitFault(opened.error.detail);
  await using handle = opened.value;
  const { size } = await handle.stat();
  yield tarHeader(checked({ path: member, type: 'file', size }));
  let sent = 0;
  for await (const bytes of readRange(handle, 0, size)) {
    sent += bytes.length;
    yield bytes;
  }
  if (sent !== size)
    throw submitFault(`${shown(member)} became shorter while it was read; submit it again once it is complete.`);
  yield new Uint8Array(tarPadding(size));
}

function checked(member: TarMember): TarMember {
  const fault = pathFault(member.path);
  if (fault === undefined) return member;
  throw submitFault(`The name ${shown(member.path)} ${fault}; rename it.`);
}

const submitFault = (message: string): OperationalError =>
  new OperationalError('submit-input', message, { retryable: false });

/**
 * Extracts a submitted tar into `directory`, which must not exist; the directory is private, so nothing in it can be exchanged meanwhile. Refuses what
 * TarReader refuses, `tar-malformed` for names that clash, `bundle-too-large`. After a refusal what was written is the caller's to remove.
 */
export async function receiveSubmitStream(
  stream: AsyncIterable<Uint8Array>,
  directory: string,
  limits: ScanLimits,
): Promise<Result<void>> {
  const writer = await TreeWriter.create(directory, limits, 'tar-malformed');
  await using extraction = new Extraction(writer);
  const reader = new TarReader();
  for await (const chunk of stream) {
    const events = reader.push(chunk);
    if (!events.ok) return events;
    for (const event of events.value) {
      const taken = await extraction.take(event);
      if (!taken.ok) return taken;
    }
  }
  return reader.finish();
}

class Extraction {
  readonly #writer: TreeWriter;
  #file: { readonly handle: FileHandle; readonly path: string } | undefined;

  constructor(writer: TreeWriter) {
    this.#writer = writer;
  }

  async take(event: TarEvent): Promise<Result<void>> {
    if (event.kind === 'data') {
      if (this.#file === undefined) throw new Error('bytes of a member came before the member');
      await append(this.#file.handle, event.bytes, this.#file.path);
      return ok(undefined);
    }
    await this[Symbol.asyncDispose]();
    if (event.kind === 'end') return ok(undefined);
    const { path, size, type } = event.member;
    if (type === 'directory') return this.#writer.directory(path);
    const opened = await this.#writer.file(path, size);
    if (!opened.ok) return opened;
    this.#file = { handle: opened.value, path };
    return ok(undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close();
  }
}
