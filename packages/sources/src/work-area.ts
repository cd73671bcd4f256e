import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OperationalError } from '@sluice/ports';
import { errnoOf, ioError } from './beneath.ts';
import type { ReceptionPlaces } from './reception.ts';

/** One input on its way through the work area. */
export interface Submission {
  /** Name of its directory in the work area. */
  readonly id: string;
  /** What the operator called it. */
  readonly name: string;
  /** Its own directory in the work area. */
  readonly home: string;
  /** Where its content lies; nobody else has a path to it. */
  readonly directory: string;
  /** The archive of its small files, where it came as a stream. */
  readonly archive?: string;
}

/** Why an input went to `refused/`: a reject code or the code of an operational error, and one sentence. */
export interface Reason {
  readonly code: string;
  readonly detail: string;
}

const COUNTER_DIGITS = 8;
const NAME_BYTES = 200;
const REFUSED_NAMES = 10_000;
const ARCHIVE = 'files.tar';

/**
 * The private directory in which inputs lie between arrival and seal, one directory each:
 *
 *     00000001.RANDOM-NAME/partial      being filled: thrown away at start
 *     00000001.RANDOM-NAME/input        complete: handled, and handled again after a crash
 *     00000001.RANDOM-NAME/files.tar    with `input`: the small files of an input that came as a stream
 *     00000001.RANDOM-NAME/reason.json  with `input`: refused, to be moved to refused/NAME
 *     00000001.RANDOM-NAME/done         sealed: only its removal is left
 *
 * Each change of state is one rename. `work`, `refused` and the inboxes lie on one file system.
 */
export class WorkArea {
  readonly #work: string;
  readonly #refused: string;
  #counter = 0;

  constructor(options: { readonly work: string; readonly refused: string }) {
    this.#work = options.work;
    this.#refused = options.refused;
  }

  /** Makes the directories, finishes what a crash interrupted, and gives the inputs that wait to be handled, oldest first. */
  async open(): Promise<Submission[]> {
    await mkdir(this.#work, { recursive: true, mode: 0o700 });
    await mkdir(this.#refused, { recursive: true, mode: 0o750 });
    const waiting: Submission[] = [];
    for (const id of (await readdir(this.#work)).sort()) {
      this.#counter = Math.max(this.#counter, Number.parseInt(id, 10) || 0);
      const submission = await this.#found(id);
      if (!(await exists(submission.directory))) await removeTree(submission.home);
      else if (await exists(join(this.#work, id, 'reason.json'))) await this.#moveToRefused(submission);
      else waiting.push(submission);
    }
    return waiting;
  }

  /** Takes `path`, a directory entry of an inbox, by one rename. Undefined when it is gone. Throws `inbox-permission` or `inbox-filesystem`. */
  async take(path: string, name: string): Promise<Submission | undefined> {
    const submission = await this.#create(name);
    try {
      await rename(path, submission.directory);
      return submission;
    } catch (error) {
      await rm(submission.home, { recursive: true, force: true });
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw takeFault(error, name);
    }
  }

  /** Starts an input that comes as a stream, and says where to write it: neither is made yet. */
  async begin(name: string): Promise<{ readonly submission: Submission; readonly places: ReceptionPlaces }> {
    const created = await this.#create(name);
    const archive = join(created.home, ARCHIVE);
    return { submission: { ...created, archive }, places: { directory: join(created.home, 'partial'), archive } };
  }

  /** The partial input is whole now. */
  async complete({ home, name, directory }: Submission): Promise<void> {
    await guarded(`Keeping ${JSON.stringify(name)}`, async () => {
      await rename(join(home, 'partial'), directory);
      await syncDirectory(home);
    });
  }

  /** The input is sealed: it will not be handled again. */
  async accept({ home, name, directory }: Submission): Promise<void> {
    await guarded(`Marking ${JSON.stringify(name)} as sealed`, async () => {
      await rename(directory, join(home, 'done'));
      await syncDirectory(home);
    });
  }

  /** Removes what was accepted. Throws `work-leftover` when it cannot be. */
  async remove({ home, name }: Submission): Promise<void> {
    try {
      await removeTree(home);
    } catch (error) {
      throw new OperationalError(
        'work-leftover',
        `${JSON.stringify(name)} was sealed but ${home} cannot be removed; remove it by hand.`,
        { retryable: false, cause: error },
      );
    }
  }

  /** Moves the input (if any of it is whole) and `reason.json` to `refused/NAME`; gives that path. */
  async refuse(submission: Submission, reason: Reason): Promise<string> {
    await guarded(`Refusing ${JSON.stringify(submission.name)}`, () => this.#say(submission, reason));
    return await this.#moveToRefused(submission);
  }

  /** Why, beside it. */
  async #say({ home, name, directory }: Submission, reason: Reason): Promise<void> {
    await rm(join(home, 'partial'), { recursive: true, force: true });
    if (!(await exists(directory))) {
      await rm(join(home, ARCHIVE), { force: true });
      await mkdir(directory);
    }
    await using file = await open(join(home, '.reason'), 'w', 0o640);
    await file.writeFile(`${JSON.stringify({ name, ...reason }, undefined, 2)}\n`);
    await file.sync();
    await rename(join(home, '.reason'), join(home, 'reason.json'));
  }

  /** Throws away an input of which nothing is to be kept. */
  async discard({ home }: Submission): Promise<void> {
    await rm(home, { recursive: true, force: true });
  }

  async #moveToRefused({ id, name }: Submission): Promise<string> {
    for (let n = 1; n <= REFUSED_NAMES; n++) {
      const target = join(this.#refused, n === 1 ? shorten(name) : `${shorten(name)}.${n}`);
      if (await exists(target)) continue;
      try {
        await rename(join(this.#work, id), target);
        return target;
      } catch (error) {
        if (errnoOf(error) === 'EXDEV') throw takeFault(error, name);
        throw ioError(error, `Moving ${JSON.stringify(name)} to ${this.#refused}`);
      }
    }
    throw new OperationalError(
      'refused-full',
      `${this.#refused} has ${REFUSED_NAMES} inputs named ${JSON.stringify(name)}; clear it.`,
      {
        retryable: true,
      },
    );
  }

  async #create(name: string): Promise<Submission> {
    this.#counter += 1;
    // The random part keeps an id from ever coming again: the counter starts over once all inputs are gone.
    const number = `${String(this.#counter).padStart(COUNTER_DIGITS, '0')}.${randomBytes(4).toString('hex')}`;
    const submission = this.#submission(`${number}-${shorten(name)}`);
    try {
      await mkdir(join(this.#work, submission.id), { mode: 0o700 });
    } catch (error) {
      throw ioError(error, `Making a work directory in ${this.#work}`);
    }
    return submission;
  }

  #submission(id: string): Submission {
    const home = join(this.#work, id);
    return { id, name: id.slice(id.indexOf('-') + 1), home, directory: join(home, 'input') };
  }

  /** An input that an earlier run left. */
  async #found(id: string): Promise<Submission> {
    const submission = this.#submission(id);
    const archive = join(submission.home, ARCHIVE);
    return (await exists(archive)) ? { ...submission, archive } : submission;
  }
}

/** At most 200 bytes of a name, so that a counter fits beside it in a file name. */
function shorten(name: string): string {
  let short = name;
  while (Buffer.byteLength(short) > NAME_BYTES) short = short.slice(0, -1);
  return short;
}

function takeFault(error: unknown, name: string): OperationalError {
  const shown = JSON.stringify(name);
  switch (errnoOf(error)) {
    case 'EACCES':
    case 'EPERM':
      return new OperationalError(
        'inbox-permission',
        `${shown} cannot be taken from the inbox: this user may not move it; make it writable for the inbox's group (chmod -R g+rwX).`,
        { retryable: true, cause: error },
      );
    case 'EXDEV':
      return new OperationalError(
        'inbox-filesystem',
        `${shown} cannot be moved: the inbox, the work directory and refused must lie on one file system; move one of them.`,
        { retryable: true, cause: error },
      );
    default:
      return ioError(error, `Moving ${shown}`);
  }
}

/** By a program of its own where there is one, which yields to all others: a hundred thousand files are removed beside our work, and not in its way. */
async function removeTree(path: string): Promise<void> {
  const removal = spawn('nice', ['-n', '19', 'rm', '-rf', '--', path], { stdio: 'ignore' });
  await once(removal, 'close').catch(() => undefined);
  await rm(path, { recursive: true, force: true });
}

/** A failure of the disk is one of the world: it is tried again. */
async function guarded<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw errnoOf(error) === undefined || error instanceof OperationalError ? error : ioError(error, what);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw ioError(error, `Looking at ${path}`);
  }
}

async function syncDirectory(path: string): Promise<void> {
  await using handle = await open(path, 'r');
  await handle.sync();
}
