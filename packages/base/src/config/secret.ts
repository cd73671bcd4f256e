import { constants, closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { inspect } from 'node:util';
import { faultOf, leaf, type Schema } from './schema.ts';
import { refuseAt, type Place } from './place.ts';
import { PATH_FORM, resolvePath } from './values.ts';

/** Largest secret file. */
export const SECRET_BYTES_MAX = 64 * 1024;
const OTHERS = 0o007;

/** The content of a secret file. Printed, logged or put into JSON it shows only where it came from. */
export class Secret {
  readonly path: string;
  readonly #bytes: Uint8Array;

  constructor(path: string, content: Uint8Array) {
    this.path = path;
    this.#bytes = content;
  }
  bytes(): Uint8Array {
    return this.#bytes;
  }
  /** The content as UTF-8 text without the line end that editors add. */
  text(): string {
    return Buffer.from(this.#bytes)
      .toString('utf8')
      .replace(/\r?\n$/, '');
  }
  toJSON(): string {
    return `[secret ${this.path}]`;
  }
  toString(): string {
    return this.toJSON();
  }
  [inspect.custom](): string {
    return this.toJSON();
  }
}

/**
 * A secret, always in a file of its own and never in the configuration. Read once, while the configuration is loaded.
 * A file that others may read or write is refused, except below CREDENTIALS_DIRECTORY, which systemd guards itself.
 * `parse` is what will read the text later; an OperationalError of it is told now, with file and key.
 */
export const secretFile = (about: string, parse: (text: string) => unknown = () => undefined): Schema<Secret> =>
  leaf(
    about,
    'path of a secret file',
    (value, at) => {
      const secret = readSecret(resolvePath(value, at), at);
      const what = faultOf(() => parse(secret.text()));
      return what === undefined ? secret : refuseAt(at, `names ${secret.path}: ${what}`, 'secret-file');
    },
    PATH_FORM,
  );

function readSecret(path: string, at: Place): Secret {
  const fault = (what: string): never => refuseAt(at, what, 'secret-file');
  let fd: number;
  try {
    // Without O_NONBLOCK a FIFO in the file's place would hold the start for ever.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return fault(`names the secret file ${path}, which cannot be read (${code}); create it or mend its owner.`);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile())
      return fault(`names ${path}, which is not a regular file; name the file that holds the secret.`);
    const guarded = at.credentials !== undefined && path.startsWith(`${at.credentials}/`);
    if (!guarded && (stat.mode & OTHERS) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      return fault(`names ${path}, which every user may open (mode ${mode}); run: chmod o= ${path}`);
    }
    if (stat.size === 0) return fault(`names ${path}, which is empty; put the secret into it.`);
    if (stat.size > SECRET_BYTES_MAX)
      return fault(`names ${path}, which is too large for a secret; name the right file.`);
    const content = new Uint8Array(SECRET_BYTES_MAX);
    return new Secret(path, content.slice(0, readSync(fd, content)));
  } finally {
    closeSync(fd);
  }
}
