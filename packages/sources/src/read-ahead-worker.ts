import { parentPort } from 'node:worker_threads';
import type { Digest } from '@sluice/ports';
import { readInto, RefusedInput, Root } from './beneath.ts';
import { digestOf } from './hashing.ts';
import type { FromReader, ToReader } from './read-ahead.ts';

// A thread that reads small files of an input ahead of the one that packs them.

const port = parentPort;
if (port === null) throw new Error('files are read ahead in a worker thread');
let root: Root | undefined;

/** Whoever asked reads it again where something is wrong, and hears what it is. */
function tryToRead({ top, files }: ToReader): FromReader['read'] {
  try {
    root ??= Root.share(top);
    return read(root, files);
  } catch (error) {
    if (error instanceof RefusedInput || (error as { readonly code?: unknown }).code !== undefined) return undefined;
    throw error;
  }
}

function read(from: Root, files: ToReader['files']): FromReader['read'] {
  const bytes = new Uint8Array(files.reduce((sum, { size }) => sum + size, 0));
  const lengths = new Uint32Array(files.length);
  const digests: Digest[] = [];
  let at = 0;
  for (const [i, { path, size }] of files.entries()) {
    const opened = from.openFile(path);
    if (!opened.ok) throw new RefusedInput(opened.error);
    using file = opened.value;
    const piece = bytes.subarray(at, at + size);
    const length = readInto(file.descriptor, piece, 0);
    lengths[i] = length;
    digests.push(digestOf(piece.subarray(0, length)));
    at += length;
  }
  return { bytes: bytes.buffer, lengths, digests };
}

port.on('message', (message: ToReader) => {
  const found = tryToRead(message);
  const answer: FromReader = { chunk: message.chunk, read: found };
  port.postMessage(answer, found === undefined ? [] : [found.bytes]);
});
