import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { OperationalError } from '@sluice/ports';

/** Largest file of a public key. */
export const KEY_FILE_BYTES_MAX = 64 * 1024;

/**
 * What `read` makes of the text of a public key file. Whatever has the name, reading it ends: a pipe or a device is no key.
 * @throws OperationalError `key-file`, naming the file
 */
export function readKeyFile<T>(file: string, read: (text: string) => T): T {
  try {
    return read(textOf(file));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why =
      cause instanceof OperationalError ? `: ${message}` : ` (${code ?? message}); create it or mend its owner`;
    throw new OperationalError('key-file', `the public key file ${file} cannot be used${why}`, {
      retryable: false,
      cause,
    });
  }
}

function textOf(file: string): string {
  const fault = (what: string): OperationalError => new OperationalError('key-file', what, { retryable: false });
  // Without O_NONBLOCK a FIFO in the file's place would hold the start for ever.
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw fault('it is no regular file');
    if (stat.size > KEY_FILE_BYTES_MAX) throw fault('it is too large for a key');
    const content = Buffer.alloc(KEY_FILE_BYTES_MAX);
    return content.toString('utf8', 0, readSync(fd, content));
  } finally {
    closeSync(fd);
  }
}
