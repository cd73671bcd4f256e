import { encodeHistory, HISTORY_BUNDLES } from '@sluice/bundle';
import type { SenderLedger } from '@sluice/ledger';
import { type Digest, faultBits, jsonText, type SenderFault } from '@sluice/ports';
import { sha256Digest, signEnvelope, type Signer } from '@sluice/trust';
import type { ToTransmit } from './transmit/messages.ts';

/** A history goes out with every so many heartbeats, and with the first after a bundle was sealed. */
export const HISTORY_EVERY = 10;

export interface BeatParts {
  readonly ledger: SenderLedger;
  readonly channels: readonly { readonly name: string; readonly asid: number; readonly signer: Signer }[];
  readonly configDigest: Digest;
  /** Unix seconds. */
  readonly now: () => number;
  readonly post: (message: ToTransmit) => void;
}

/** What each channel says of itself while it lives: heartbeats, and now and then its history (PROTOCOL.md section 7). */
export class Beats {
  readonly #parts: BeatParts;
  readonly #histories = new Map<
    string,
    { readonly head: Digest; readonly digest: Digest; readonly body: Uint8Array }
  >();
  #count = 0;

  constructor(parts: BeatParts) {
    this.#parts = parts;
  }

  beat(activity: 'idle' | 'sending', faults: readonly SenderFault[] = []): void {
    const { channels, ledger, configDigest, now, post } = this.#parts;
    const state = faults.length === 0 ? activity : 'degraded';
    const wrong = faults.length === 0 ? {} : { faults: faultBits(faults) };
    for (const channel of channels) {
      const { sequence, id } = ledger.head(channel.name);
      const heartbeat = { v: 1, seconds: now(), state, sequence, head: id, config: configDigest, ...wrong };
      const body = Buffer.from(JSON.stringify(heartbeat));
      post({ type: 'heartbeat', asid: channel.asid, digest: sha256Digest(body), body });
      if (id !== null) this.#history(channel, id);
    }
    this.#count += 1;
  }

  #history({ name, asid, signer }: BeatParts['channels'][number], head: Digest): void {
    const known = this.#histories.get(name);
    const isNew = known?.head !== head;
    if (!isNew && this.#count % HISTORY_EVERY !== 0) return;
    const { digest, body } = isNew ? this.#signed(name, head, signer) : known;
    // A restored ledger may know none of the bundles: then there is nothing to tell.
    if (body.length > 0) this.#parts.post({ type: 'history', asid, digest, body });
  }

  #signed(channel: string, head: Digest, signer: Signer): { readonly digest: Digest; readonly body: Uint8Array } {
    const recent = this.#parts.ledger.recent(channel, HISTORY_BUNDLES);
    const bundles = recent.map(({ id: bundle, sequence, name, bytes }) => ({
      sequence,
      bundle,
      name: jsonText(name),
      bytes,
    }));
    const body = bundles.length === 0 ? new Uint8Array() : signEnvelope(encodeHistory({ channel, bundles }), [signer]);
    const history = { head, digest: sha256Digest(body), body };
    this.#histories.set(channel, history);
    return history;
  }
}
