import { ok } from '@sluice/ports';
import type { Anchors, Asker, ControlResult, KnownKey } from './anchors.ts';
import { no } from './anchors.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Something that a person may ask for on a control socket. */
export interface ControlRoute {
  /** What changes something needs a reason. */
  readonly reason: 'needed' | 'free';
  readonly answer: (body: Fields, asker: Asker) => ControlResult<unknown> | Promise<ControlResult<unknown>>;
}
export type ControlRoutes = Readonly<Record<string, ControlRoute>>;

export interface TrustRouteParts {
  readonly anchors: Anchors;
  /** Keys beside those of the anchors: of importers, of the link. */
  readonly others: () => readonly KnownKey[];
  /** How many bundles a key signed, where that is known. */
  readonly signed?: (key: string) => number;
}

const KEY = /^[0-9a-f]{8,64}$/;
const KEY_DIGITS = 64;

/** Keys and policies: the same for receiver and importer, each for itself. */
export function trustRoutes(parts: TrustRouteParts): ControlRoutes {
  const { anchors, signed } = parts;
  return {
    '/v1/keys': { reason: 'free', answer: () => ok({ keys: allKeys(parts), policy: anchors.policy ?? null }) },
    '/v1/keys/revoke': {
      reason: 'needed',
      answer: ({ key }, asker) => {
        const found = findKey(parts, key);
        if (!found.ok) return found;
        const { key: id, name, places } = found.value;
        const fresh = anchors.revoke(id, asker, { places });
        return ok({ key: id, name, places, before: !fresh, ...(signed && { signed: signed(id) }) });
      },
    },
    '/v1/policy': {
      reason: 'needed',
      answer: ({ envelope, digest }, asker) => {
        if (typeof envelope !== 'string' || (digest !== undefined && typeof digest !== 'string'))
          return no('envelope-malformed', 'the request has no envelope in base64');
        return anchors.adopt(Buffer.from(envelope, 'base64'), digest, asker);
      },
    },
  };
}

const allKeys = ({ anchors, others }: TrustRouteParts): KnownKey[] => {
  const more = others();
  const here = new Set(more.map(({ key }) => key));
  // What is revoked and of no channel is known to the anchors by its id alone.
  return [...anchors.keys().filter(({ key, places }) => places.length > 0 || !here.has(key)), ...more];
};

/** A key by its id, or by the first digits of it. One that is not known can be revoked by its whole id: it may come yet. */
export function findKey(parts: TrustRouteParts, text: unknown): ControlResult<KnownKey> {
  if (typeof text !== 'string' || !KEY.test(text))
    return no('key-unknown', 'a key is named by its id, or the first 8 or more digits of it');
  const [first, ...more] = allKeys(parts).filter(({ key }) => key.startsWith(text));
  if (first !== undefined && more.length === 0) return ok(first);
  if (first !== undefined) return no('key-unknown', `${String(more.length + 1)} keys begin so; give more digits`);
  if (text.length === KEY_DIGITS)
    return ok({ key: text, name: '', places: [], revoked: parts.anchors.isRevoked(text) });
  return no('key-unknown', 'no key here begins so; one that is not known here is named by its whole id');
}
