import type { Logger } from '@sluice/base';
import type { Actor, SenderLedger } from '@sluice/ledger';
import type { ControlCode, TagAlgorithm } from '@sluice/ports';
import { linkKeyId, parseLinkKey } from '@sluice/trust';
import type { ChannelConfig } from './config.ts';

/** A key of a channel that the sender has. */
export interface ChannelKey {
  readonly channel: string;
  readonly asid: number;
  readonly algorithm: TagAlgorithm;
  readonly key: Uint8Array;
  readonly id: string;
}

export interface LinkKeyParts {
  readonly channels: readonly Pick<ChannelConfig, 'name' | 'asid' | 'algorithm' | 'linkKeyFile' | 'nextLinkKey'>[];
  readonly ledger: SenderLedger;
  readonly logger: Logger;
  /** What waits goes by the new key, in a session that begins when no pass is on air. */
  readonly go: (from: number, to: number) => void;
}

type Switched =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: { readonly code: ControlCode; readonly detail: string } };

/** Name of the setting in the ledger: the id of the key that a person switched to. */
const settingOf = (channel: string): string => `link-key/${channel}`;

/** The link keys of each channel, and by which of them it sends. Which one that is outlives restarts, and the renaming of keys in the configuration. */
export class LinkKeys {
  readonly #parts: LinkKeyParts;
  readonly #keys: ReadonlyMap<string, readonly ChannelKey[]>;

  constructor(parts: LinkKeyParts) {
    this.#parts = parts;
    this.#keys = new Map(parts.channels.map((channel) => [channel.name, keysOf(channel)]));
  }

  get all(): readonly ChannelKey[] {
    return [...this.#keys.values()].flat();
  }

  /** By which a channel sends now: the one that was switched to last, if it is still there, else the first. */
  active(channel: string): ChannelKey {
    const keys = this.#keys.get(channel) ?? [];
    const chosen = this.#parts.ledger.control.get(settingOf(channel));
    const [first] = keys;
    const key = keys.find(({ id }) => id === chosen) ?? first;
    if (key === undefined) throw new Error(`there is no channel ${channel}`);
    return key;
  }

  list(): readonly {
    readonly channel: string;
    readonly asid: number;
    readonly key: string;
    readonly sends: boolean;
  }[] {
    return this.all.map(({ channel, asid, id }) => ({ channel, asid, key: id, sends: this.active(channel).id === id }));
  }

  /** Goes on with the other key of the channel. */
  switch(channel: string, actor: Actor): Switched {
    const { ledger, logger, go } = this.#parts;
    const keys = this.#keys.get(channel);
    if (keys === undefined) return refused(`this sender has no channel ${channel.slice(0, 40)}`);
    const from = this.active(channel);
    const to = keys.find(({ id }) => id !== from.id);
    if (to === undefined) return refused(`channel ${channel} has no nextLinkKey in the configuration`);
    ledger.control.set(settingOf(channel), to.id, 'switch-link-key', actor);
    go(from.asid, to.asid);
    logger.warn({ channel, from: from.id, to: to.id, ...actor }, 'the channel goes on with its other link key');
    return { ok: true, value: { channel, from: from.id, to: to.id, asid: to.asid } };
  }
}

const refused = (detail: string): Switched => ({ ok: false, error: { code: 'key-unknown', detail } });

function keysOf({
  name: channel,
  asid,
  algorithm,
  linkKeyFile,
  nextLinkKey,
}: LinkKeyParts['channels'][number]): ChannelKey[] {
  const all = [{ asid, algorithm, linkKeyFile }, ...(nextLinkKey === undefined ? [] : [nextLinkKey])];
  return all.map((each) => {
    const key = parseLinkKey(each.linkKeyFile.text());
    return { channel, asid: each.asid, algorithm: each.algorithm, key, id: linkKeyId(key) };
  });
}
