import type { Result } from '@sluice/ports';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { countAt, fail, listAt, literalAt, objectAt, reading, textAt } from './fields.ts';
import type { JsonValue } from './json.ts';
import type { KeyWindow } from './policy.ts';
import { encodeStatement, readStatement } from './statement.ts';

/** Largest policy envelope, and most keys, channels and roles in one. */
export const POLICY_BYTES = 256 * 1024;
const KEYS_MAX = 256;
const CHANNELS_MAX = 16;
const ROLES_MAX = 8;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** A public key, and what people call it. */
export interface PolicyKey {
  readonly name: string;
  /** Lower-case hex SHA-256 of `spki`. */
  readonly keyid: string;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
}

/** A key by its name, and the numbers of the channel for which it counts. */
export interface PolicyGrant extends KeyWindow {
  readonly key: string;
}

export interface PolicyRole {
  readonly role: string;
  readonly signatures: number;
  readonly keys: readonly PolicyGrant[];
}

/** Whose signatures a channel believes. */
export interface PolicyChannel {
  readonly name: string;
  readonly transport: readonly PolicyGrant[];
  /** Each must have approved a release. */
  readonly release: readonly PolicyRole[];
}

/** The trust anchors of the isolated side, as one document with a version (docs/PROTOCOL.md section 13). */
export interface TrustPolicy {
  readonly version: number;
  readonly keys: readonly PolicyKey[];
  readonly channels: readonly PolicyChannel[];
}

const grantOut = ({ key, from, until }: PolicyGrant) => ({
  key,
  ...(from > 1 ? { from } : {}),
  ...(until === undefined ? {} : { until }),
});

/** The policy in its one spelling (B-13). */
export function encodePolicy({ version, keys, channels }: TrustPolicy): Uint8Array {
  const subject = keys.map(({ name, keyid }) => ({ name, digest: `sha256:${keyid}` as const }));
  return encodeStatement('policy', subject, {
    version,
    keys: keys.map(({ name, spki }) => ({ name, spki: encodeBase64(spki) })),
    channels: channels.map(({ name, transport, release }) => ({
      name,
      transport: transport.map(grantOut),
      release: release.map(({ role, signatures, keys: of }) => ({ role, signatures, keys: of.map(grantOut) })),
    })),
  });
}

/** Refuses what the JSON parser refuses, `statement-malformed`, `predicate-type`, `digest-algorithm`. That a key is what its id says is the caller's to see. */
export function parsePolicy(payload: Uint8Array): Result<TrustPolicy> {
  return reading(() => {
    const { subject, predicate } = readStatement(payload, 'policy');
    const fields = objectAt(predicate, 'predicate', ['version', 'keys', 'channels']);
    const keys = some(fields.keys, 'keys', KEYS_MAX).map((item, i) => {
      const where = `keys[${String(i)}]`;
      const { name, spki } = objectAt(item, where, ['name', 'spki']);
      const der = decodeBase64(textAt(spki, `${where}.spki`));
      const { name: named, digest } = subject[i] ?? {};
      if (der === undefined) return fail('statement-malformed', `${where}.spki is not base64`);
      if (named !== name || digest === undefined)
        return fail('statement-malformed', 'the subject is not the list of keys');
      return { name: nameAt(name, `${where}.name`), keyid: digest.slice('sha256:'.length), spki: der };
    });
    if (subject.length !== keys.length) fail('statement-malformed', 'the subject is not the list of keys');
    distinct(
      keys.map(({ name }) => name),
      'keys',
    );
    distinct(
      keys.map(({ keyid }) => keyid),
      'key ids',
    );
    const known = new Set(keys.map(({ name }) => name));
    const channels = some(fields.channels, 'channels', CHANNELS_MAX).map((item, i) =>
      channelAt(item, `channels[${String(i)}]`, known),
    );
    distinct(
      channels.map(({ name }) => name),
      'channels',
    );
    return { version: countAt(fields.version, 'version', 1), keys, channels };
  });
}

function channelAt(item: JsonValue, where: string, known: ReadonlySet<string>): PolicyChannel {
  const { name, transport, release } = objectAt(item, where, ['name', 'transport', 'release']);
  const roles = some(release, `${where}.release`, ROLES_MAX).map((each, i) => {
    const at = `${where}.release[${String(i)}]`;
    const { role, signatures, keys } = objectAt(each, at, ['role', 'signatures', 'keys']);
    return {
      role: nameAt(role, `${at}.role`),
      signatures: countAt(signatures, `${at}.signatures`, 1),
      keys: grantsAt(keys, `${at}.keys`, known),
    };
  });
  distinct(
    roles.map(({ role }) => role),
    `roles of ${where}`,
  );
  return {
    name: nameAt(name, `${where}.name`),
    transport: grantsAt(transport, `${where}.transport`, known),
    release: roles,
  };
}

const grantsAt = (value: JsonValue | undefined, where: string, known: ReadonlySet<string>): PolicyGrant[] => {
  const grants = some(value, where, KEYS_MAX).map((item, i) => {
    const at = `${where}[${String(i)}]`;
    const { key, from, until } = objectAt(item, at, ['key', 'from', 'until']);
    return {
      key: literalAt(key, `${at}.key`, [...known]),
      from: from === undefined ? 1 : countAt(from, `${at}.from`, 1),
      until: until === undefined ? undefined : countAt(until, `${at}.until`, 1),
    };
  });
  distinct(
    grants.map(({ key }) => key),
    `keys of ${where}`,
  );
  return grants;
};

/** A list of at least one. */
function some(value: JsonValue | undefined, where: string, most: number): readonly JsonValue[] {
  const list = listAt(value, where);
  if (list.length === 0 || list.length > most)
    return fail('statement-malformed', `${where} has not 1 to ${String(most)} items`);
  return list;
}

function nameAt(value: JsonValue | undefined, where: string): string {
  const name = textAt(value, where);
  return NAME.test(name)
    ? name
    : fail('statement-malformed', `${where} is not a name of letters, digits, dots, hyphens and underscores`);
}

function distinct(names: readonly string[], where: string): void {
  if (new Set(names).size !== names.length) fail('statement-malformed', `the ${where} are not distinct`);
}
