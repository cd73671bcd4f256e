import type { Authenticator, LinkKey } from '@sluice/ports';
import { setSn, TAG_OFFSET } from '@sluice/alc';

/** A session rolls over before a number reaches this share of its range (PROTOCOL.md S-2). */
const ROLL_SHARE = 0.75;
const TOI_RANGE = 2 ** 32;
const FDT_ID_RANGE = 2 ** 20;
const SN_RANGE = 2 ** 40;

/** The running numbers of one session, and the tags of its datagrams. Nothing here is ever handed out twice. */
export class SendSession {
  readonly tsi: number;
  readonly #authenticators = new Map<number, Authenticator>();
  #toi = 0;
  #fdtId = 0;
  #sn = 0;

  constructor(tsi: number, keys: readonly LinkKey[]) {
    this.tsi = tsi;
    for (const key of keys) this.#authenticators.set(key.asid, key.session(tsi));
  }

  nextToi(): number {
    this.#toi += 1;
    if (this.#toi >= TOI_RANGE) throw new Error('TOI range used up: the session was not rolled');
    return this.#toi;
  }

  nextFdtId(): number {
    this.#fdtId += 1;
    if (this.#fdtId >= FDT_ID_RANGE) throw new Error('FDT Instance ID range used up: the session was not rolled');
    return this.#fdtId;
  }

  /** Datagrams sent so far. */
  get sent(): number {
    return this.#sn;
  }

  /** True when the session must be rolled before more is begun. */
  get worn(): boolean {
    return (
      this.#toi >= TOI_RANGE * ROLL_SHARE ||
      this.#fdtId >= FDT_ID_RANGE * ROLL_SHARE ||
      this.#sn >= SN_RANGE * ROLL_SHARE
    );
  }

  /** Gives the framed datagram its sequence number and its tag: the last thing before departure. */
  seal(datagram: Uint8Array, asid: number): void {
    const authenticator = this.#authenticators.get(asid);
    if (authenticator === undefined) throw new Error(`no link key for ASID ${String(asid)}`);
    this.#sn += 1;
    if (this.#sn >= SN_RANGE) throw new Error('SN range used up: the session was not rolled');
    setSn(datagram, 0, this.#sn);
    authenticator.sign(datagram, TAG_OFFSET);
  }
}
