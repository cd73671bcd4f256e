// In the place of `@sluice/trust` for the code that runs in a world: all of it, with tags as the daemons make them where they may run
// native code, and each key read once. Neither changes a byte.
import { type Authenticator, type LinkKey, TAG_BYTES, type TagAlgorithm } from '@sluice/ports';
import * as trust from '@sluice/trust';

export * from '@sluice/trust';

/** Longer than any datagram of a world. */
const LONGEST = 4096;
/** Sessions of one key whose tags are remembered: the worlds all begin at one time. */
const SESSIONS = 256;

const { accelerate } = await trust.openTagAccelerator('auto');
const bytes = new Uint8Array(new SharedArrayBuffer(LONGEST + TAG_BYTES));
const made = bytes.subarray(LONGEST);
const job = new Uint32Array(3);

/** Makes single tags with what makes those of many. */
class QuickAuthenticator implements Authenticator {
  readonly #reference: Authenticator;
  readonly #quick: Authenticator;

  constructor(reference: Authenticator, quick: Authenticator) {
    this.#reference = reference;
    this.#quick = quick;
  }

  sign(datagram: Uint8Array, tagOffset: number): void {
    if (datagram.length > LONGEST) this.#reference.sign(datagram, tagOffset);
    else datagram.set(this.#tag(datagram, tagOffset), tagOffset);
  }

  verify(datagram: Uint8Array, tagOffset: number): boolean {
    if (datagram.length > LONGEST) return this.#reference.verify(datagram, tagOffset);
    const tag = this.#tag(datagram, tagOffset);
    for (let i = 0; i < TAG_BYTES; i += 1) if (datagram[tagOffset + i] !== tag[i]) return false;
    return true;
  }

  tags(of: Uint8Array, jobs: Uint32Array, count: number): void {
    this.#quick.tags(of, jobs, count);
  }

  #tag(datagram: Uint8Array, tagOffset: number): Uint8Array {
    bytes.set(datagram);
    bytes.fill(0, tagOffset, tagOffset + TAG_BYTES);
    job[1] = datagram.length;
    job[2] = LONGEST;
    this.#quick.tags(bytes, job, 1);
    return made;
  }
}

const sessions = new Map<string, Authenticator>();

const quickly: trust.TagAccelerator = (reference, algorithm, key) =>
  accelerate === undefined ? reference : new QuickAuthenticator(reference, accelerate(reference, algorithm, key));

/** As `makeLinkKey`: what tags the datagrams of one session is one for all who have its key. */
export function makeLinkKey(options: {
  readonly asid: number;
  readonly channel: string;
  readonly algorithm: TagAlgorithm;
  readonly key: Uint8Array;
}): LinkKey {
  const key = trust.makeLinkKey(options, quickly);
  const name = `${key.algorithm} ${key.id} `;
  return {
    ...key,
    session: (tsi) => {
      const known = sessions.get(name + String(tsi)) ?? key.session(tsi);
      if (sessions.size >= SESSIONS) sessions.clear();
      sessions.set(name + String(tsi), known);
      return known;
    },
  };
}

/** Reads each text once. */
function once<T>(load: (pem: string) => T): (pem: string) => T {
  const read = new Map<string, T>();
  return (pem) => {
    const known = read.get(pem) ?? load(pem);
    read.set(pem, known);
    return known;
  };
}

/** Signatures whose verdict is remembered: a statement is looked at by four or five in its world. */
const SIGNATURES = 64;

/** Asks for the same signature of the same bytes once. */
function verifierOf(pem: string): trust.PublicKey {
  const verifier = trust.loadVerifier(pem);
  const known = new Map<string, { readonly message: Uint8Array; readonly holds: boolean }>();
  return {
    ...verifier,
    verify: (message, signature) => {
      const name = Buffer.from(signature).toString('latin1');
      const before = known.get(name);
      if (before !== undefined && Buffer.compare(before.message, message) === 0) return before.holds;
      if (known.size >= SIGNATURES) known.clear();
      const holds = verifier.verify(message, signature);
      known.set(name, { message: new Uint8Array(message), holds });
      return holds;
    },
  };
}

export const loadSigner = once(trust.loadSigner);
export const loadVerifier = once(verifierOf);
export const loadTicketVerifier = once(trust.loadTicketVerifier);
