import { array, loadConfig, object } from '@sluice/base';
import { linkKeyConfig } from '@sluice/link';
import type { Authenticator, LinkKey, Verdict } from '@sluice/ports';
import { makeLinkKey, parseLinkKey } from '@sluice/trust';

const ASIDS = 16;

const keysFile = object('link keys for replay: the "keys" of a link configuration', {
  keys: array('link keys', linkKeyConfig, { min: 1, max: ASIDS }),
});

/** How tags are judged. */
export interface ReplayKeys {
  readonly keys: readonly (LinkKey | undefined)[];
  /** False: by what the log recorded. */
  readonly isChecked: boolean;
  /** Told before each datagram: what was recorded of it. */
  recorded(verdict: Verdict | undefined): void;
}

/** The link keys of a file, by ASID. */
export function keysOf(file: string): ReplayKeys {
  const { keys } = loadConfig(file, keysFile);
  const byAsid: (LinkKey | undefined)[] = [];
  for (const { keyFile, ...key } of keys) byAsid[key.asid] = makeLinkKey({ ...key, key: parseLinkKey(keyFile.text()) });
  return { keys: byAsid, isChecked: true, recorded: () => undefined };
}

/**
 * Without keys: a tag holds when link found so then, or when nothing was recorded. Everything else is recomputed, and what
 * comes out of it is still held against its digest. Channels are named by their ASID.
 */
export function unchecked(): ReplayKeys {
  let holds = true;
  const authenticator: Authenticator = {
    sign: () => {
      throw new Error('nothing is signed without a key');
    },
    verify: () => holds,
    tags: () => {
      throw new Error('nothing is signed without a key');
    },
  };
  const keys = Array.from({ length: ASIDS }, (_, asid): LinkKey => ({
    asid,
    id: '0'.repeat(64),
    channel: `asid-${String(asid)}`,
    algorithm: 'HMAC-SHA-256-128',
    session: () => authenticator,
  }));
  return {
    keys,
    isChecked: false,
    recorded: (verdict) => {
      holds = verdict !== 'bad-tag' && verdict !== 'unknown-asid';
    },
  };
}
