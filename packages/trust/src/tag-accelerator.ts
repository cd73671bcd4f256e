import { randomBytes } from 'node:crypto';
import { type Authenticator, TAG_BYTES, TAG_JOB_WORDS, type TagAlgorithm, type TogetherCheck } from '@sluice/ports';
import { LINK_KEY_BYTES, makeLinkKey, TAG_OFFSET, type TagAccelerator } from './linkkeys.ts';
import { holdTogether } from './together.ts';

/** What was chosen, and why. */
export interface TagChoice {
  readonly accelerate: TagAccelerator | undefined;
  readonly why: string;
}

const ALGORITHMS: readonly TagAlgorithm[] = ['HMAC-SHA-256-128', 'AES-256-GMAC'];
/** Lengths tried before native tags are trusted: around the blocks of both algorithms, and those of the link. */
const TRIED_LENGTHS = [108, 127, 128, 129, 163, 164, 175, 176, 191, 192, 193, 1452, 8940];
/** Room for each datagram of the trial and its tag. */
const TRIAL_BYTES = 9216;
const TRIED_SESSION = 0x12345678;

/**
 * Tags by OpenSSL's own functions in the Node binary, a few calls for each datagram and nothing allocated. Only where the
 * binding loads and its tags equal those of node:crypto on a trial; else node:crypto alone, and `why` says so.
 * @param io `portable` loads no native code.
 */
export async function openTagAccelerator(io: 'auto' | 'native' | 'portable'): Promise<TagChoice> {
  if (io === 'portable') return { accelerate: undefined, why: 'chosen by configuration' };
  try {
    const { accelerateNatively } = await import('./native-tags.ts');
    const fault = trial(accelerateNatively);
    if (fault === undefined) return { accelerate: accelerateNatively, why: 'tags by OpenSSL in batches' };
    return { accelerate: undefined, why: fault };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n', 1).join('') : String(cause);
    return { accelerate: undefined, why: `native tags cannot be loaded: ${reason}` };
  }
}

/** Why native tags are not to be used, if they are not: their tags must be the reference's, byte for byte. */
function trial(accelerate: TagAccelerator): string | undefined {
  const bytes = new Uint8Array(new SharedArrayBuffer(TRIED_LENGTHS.length * TRIAL_BYTES));
  bytes.set(randomBytes(bytes.length));
  const jobs = new Uint32Array(TRIED_LENGTHS.length * TAG_JOB_WORDS);
  TRIED_LENGTHS.forEach((length, i) => {
    const at = i * TRIAL_BYTES;
    bytes.fill(0, at + TAG_OFFSET, at + TAG_OFFSET + TAG_BYTES);
    jobs.set([at, length, at + TRIAL_BYTES - TAG_BYTES], i * TAG_JOB_WORDS);
  });
  for (const algorithm of ALGORITHMS) {
    const options = { asid: 0, channel: 'trial', algorithm, key: randomBytes(LINK_KEY_BYTES) };
    const [expected, got] = [undefined, accelerate].map((with_) => {
      makeLinkKey(options, with_).session(TRIED_SESSION).tags(bytes, jobs, TRIED_LENGTHS.length);
      return bytes.slice();
    });
    if (expected === undefined || got === undefined || Buffer.compare(expected, got) !== 0) {
      return `native tags of ${algorithm} differ from those of node:crypto`;
    }
    const { together } = makeLinkKey(options, accelerate).session(TRIED_SESSION);
    if (together !== undefined && !judgesTogether(together, makeLinkKey(options).session(TRIED_SESSION))) {
      return `native tags of ${algorithm} cannot be checked together`;
    }
  }
  return undefined;
}

/** True tags must hold together, and one wrong bit must show. */
function judgesTogether(together: TogetherCheck, reference: Authenticator): boolean {
  const datagrams = TRIED_LENGTHS.map((length) => {
    const datagram = new Uint8Array(randomBytes(length));
    reference.sign(datagram, TAG_OFFSET);
    return datagram;
  });
  if (!holdTogether(together, datagrams)) return false;
  for (const datagram of datagrams) {
    const last = datagram.length - 1;
    datagram[last] = (datagram[last] ?? 0) ^ 1;
    if (holdTogether(together, datagrams)) return false;
    datagram[last] ^= 1;
  }
  return true;
}
