import {
  type ChannelPolicy,
  checkStanding,
  type KeyWindow,
  parseEnvelope,
  parsePolicy,
  POLICY_BYTES,
  policiesFault,
  policyFault,
  preAuthEncoding,
  type TrustPolicy,
} from '@sluice/bundle';
import { type ControlCode, type Digest, OperationalError, type Refusal, type Result } from '@sluice/ports';
import { loadVerifier, type PublicKey, sha256Digest } from '@sluice/trust';
import { type ChannelContext, openChannels, readVerifier } from './open.ts';
import type { ChannelPolicyConfig, TrustConfig } from './sections.ts';

/** Who asked for a change, and why. */
export interface Asker {
  readonly uid: number | null;
  readonly reason: string | null;
}

/** Where it is written down which keys are believed: a ledger. */
export interface TrustKeeping {
  revoked(): ReadonlySet<string>;
  revoke(key: string, asker: Asker, body: Readonly<Record<string, unknown>>): boolean;
  policy(): { readonly version: number; readonly digest: Digest; readonly envelope: Uint8Array } | undefined;
  adopt(
    policy: { readonly version: number; readonly digest: Digest; readonly envelope: Uint8Array },
    asker: Asker,
    body: Readonly<Record<string, unknown>>,
  ): void;
}

export interface AnchorParts {
  /** Whose signatures count until a policy says otherwise, and what is let in. */
  readonly channels: readonly ChannelPolicyConfig[];
  /** Who may sign policies; without it a policy is taken by its digest alone. */
  readonly trust: TrustConfig | undefined;
  readonly record: TrustKeeping;
}

/** A refusal by a code of control sockets, or of statements. */
export interface ControlRefusal {
  readonly code: ControlCode | Refusal['code'];
  readonly detail: string;
}
export type ControlResult<T> = Result<T, ControlRefusal>;

export const no = (
  code: ControlRefusal['code'],
  detail: string,
): { readonly ok: false; readonly error: ControlRefusal } => ({ ok: false, error: { code, detail } });

/** A policy that was taken. */
export interface Adopted {
  readonly version: number;
  readonly digest: Digest;
  /** Why it was believed. */
  readonly how: 'root-and-persons' | 'out-of-band';
  readonly channels: readonly string[];
  /** Names of channels that are not here: nothing comes of them. */
  readonly elsewhere: readonly string[];
  /** Keys in it that were revoked here, and stay so. */
  readonly stayRevoked: readonly string[];
}

/** What is known of a key. */
export interface KnownKey {
  readonly key: string;
  readonly name: string;
  /** Such as `prod: transport`. */
  readonly places: readonly string[];
  readonly revoked: boolean;
}

/**
 * Policy and keys of each channel as they are now: of the configuration, or of the policy document taken last; less what was revoked. The next statement that
 * is judged is judged by them.
 */
export class Anchors {
  readonly #parts: AnchorParts;
  readonly #base: ReadonlyMap<string, ChannelContext>;
  readonly #roots: readonly PublicKey[];
  readonly #persons: readonly PublicKey[];
  readonly #listeners = new Set<() => void>();
  #names = new Map<string, string>();
  #now: ReadonlyMap<string, ChannelContext>;

  /** @throws OperationalError `policy-fault`, `key-file` */
  constructor(parts: AnchorParts) {
    this.#parts = parts;
    this.#base = openChannels(parts.channels);
    this.#roots = parts.trust?.rootKeyFiles.map(readVerifier) ?? [];
    this.#persons = parts.trust?.personKeyFiles.map(readVerifier) ?? [];
    this.#now = this.#base;
    this.#apply();
  }

  get(channel: string): ChannelContext | undefined {
    return this.#now.get(channel);
  }

  has(channel: string): boolean {
    return this.#now.has(channel);
  }

  values(): Iterable<ChannelContext> {
    return this.#now.values();
  }

  /** Calls back after each change. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Version and digest of the policy that counts; undefined while the configuration does. */
  get policy(): { readonly version: number; readonly digest: Digest } | undefined {
    const taken = this.#parts.record.policy();
    return taken && { version: taken.version, digest: taken.digest };
  }

  /** B-17: whether the signatures that held when a bundle was judged still do. */
  stands(channel: string, signed: Parameters<typeof checkStanding>[1]): Result<undefined> {
    const context = this.get(channel);
    if (context === undefined) throw new Error(`there is no channel ${channel}`);
    return checkStanding(context.policy, signed);
  }

  isRevoked(key: string): boolean {
    return this.#parts.record.revoked().has(key);
  }

  /** All keys that count or counted, with what for. */
  keys(): KnownKey[] {
    const places = new Map<string, string[]>();
    const put = (key: string, place: string, window?: KeyWindow): void => {
      const list = places.get(key) ?? [];
      list.push(window === undefined ? place : `${place}, ${wordsOf(window)}`);
      places.set(key, list);
    };
    for (const { policy } of this.values()) {
      const { channel, transportKeys, releaseKeys, roles = [], windows = {} } = policy;
      for (const key of transportKeys) put(key, `${channel}: transport`, windows[key]);
      for (const key of releaseKeys) put(key, `${channel}: release`, windows[key]);
      for (const { role, keys } of roles) for (const key of keys) put(key, `${channel}: ${role}`, windows[key]);
    }
    for (const { keyid } of this.#roots) put(keyid, 'policies: root');
    for (const { keyid } of this.#persons) put(keyid, 'policies: person');
    const revoked = this.#parts.record.revoked();
    for (const key of revoked) if (!places.has(key)) places.set(key, []);
    return [...places].map(([key, list]) => ({
      key,
      name: this.#names.get(key) ?? '',
      places: list,
      revoked: revoked.has(key),
    }));
  }

  /** Takes a key away for good. False when it was taken away before. */
  revoke(key: string, asker: Asker, body: Readonly<Record<string, unknown>>): boolean {
    const revoked = this.#parts.record.revoke(key, asker, body);
    if (revoked) this.#changed();
    return revoked;
  }

  /**
   * Takes a policy document: when a root and enough persons signed it, or when `digest`, which came by another way than the file, is its digest. Nothing
   * else brings in new keys, and none that is older than the one before.
   */
  adopt(bytes: Uint8Array, digest: string | undefined, asker: Asker): ControlResult<Adopted> {
    const { record } = this.#parts;
    if (bytes.length > POLICY_BYTES)
      return no('statement-too-large', `a policy has at most ${String(POLICY_BYTES)} bytes`);
    const id = sha256Digest(bytes);
    const envelope = parseEnvelope(bytes);
    if (!envelope.ok) return envelope;
    const policy = parsePolicy(envelope.value.payload);
    if (!policy.ok) return policy;
    if (digest !== undefined && digest !== id) return no('policy-digest', `the file is ${id}, and not ${digest}`);
    const signers = this.#policySigners(envelope.value);
    const signed = signers.root.length > 0 && signers.persons.length >= (this.#parts.trust?.persons ?? Infinity);
    if (!signed && digest === undefined) return no('policy-unapproved', this.#unapproved(signers));
    const before = record.policy();
    const { version } = policy.value;
    if (before !== undefined && version <= before.version && id !== before.digest) {
      return no(
        'policy-rollback',
        `the policy has version ${String(version)}, and ${String(before.version)} was taken before`,
      );
    }
    const contexts = this.#contexts(policy.value);
    if (!contexts.ok) return contexts;
    const names = policy.value.channels.map(({ name }) => name);
    // Without a policy the configuration counts, and with it the keys that the policy before had replaced.
    const left = before === undefined ? [] : policyOf(before.envelope).channels.map(({ name }) => name);
    const back = left.find((name) => this.#base.has(name) && !names.includes(name));
    if (back !== undefined)
      return no(
        'policy-rollback',
        `the policy taken before names channel ${back}, and this one does not: its keys of before would come back`,
      );
    const all = [...this.#base].map(([name, base]) => (contexts.value.get(name) ?? base).policy);
    const fault = policiesFault(all);
    if (fault !== undefined) return no('statement-malformed', fault);
    const channels = names.filter((name) => this.#base.has(name));
    if (channels.length === 0) return no('policy-foreign', 'the policy names no channel that is configured here');
    const how = signed ? 'root-and-persons' : 'out-of-band';
    if (id !== before?.digest) {
      record.adopt({ version, digest: id, envelope: bytes }, asker, { how, signers, channels });
      this.#changed();
    }
    const revoked = record.revoked();
    const stayRevoked = policy.value.keys.map(({ keyid }) => keyid).filter((key) => revoked.has(key));
    const elsewhere = names.filter((name) => !this.#base.has(name));
    return { ok: true, value: { version, digest: id, how, channels, elsewhere, stayRevoked } };
  }

  #unapproved({ root, persons }: { readonly root: readonly string[]; readonly persons: readonly string[] }): string {
    const { trust } = this.#parts;
    const digestOr = 'give the digest of the file, as it came by another way than the file';
    if (trust === undefined) return `no one is configured who may sign policies (trust): ${digestOr}`;
    const has = `${root.length > 0 ? 'a root' : 'no root'} and ${String(persons.length)} of ${String(trust.persons)} persons signed`;
    return `${has}; have the others sign, or ${digestOr}`;
  }

  #policySigners(envelope: {
    readonly payload: Uint8Array;
    readonly signatures: readonly { keyid: string; sig: Uint8Array }[];
  }) {
    const message = preAuthEncoding(envelope.payload);
    const revoked = this.#parts.record.revoked();
    const holding = (keys: readonly PublicKey[]): string[] => {
      const good = keys.filter(
        (key) =>
          !revoked.has(key.keyid) &&
          envelope.signatures.some(({ keyid, sig }) => keyid === key.keyid && key.verify(message, sig)),
      );
      return [...new Set(good.map(({ keyid }) => keyid))];
    };
    const root = holding(this.#roots);
    return { root, persons: holding(this.#persons).filter((key) => !root.includes(key)) };
  }

  #changed(): void {
    this.#apply();
    for (const listener of this.#listeners) listener();
  }

  #apply(): void {
    const { record } = this.#parts;
    const taken = record.policy();
    const named = taken === undefined ? undefined : this.#contexts(policyOf(taken.envelope));
    if (named?.ok === false)
      throw new OperationalError('policy-fault', `the policy in the ledger: ${named.error.detail}`, {
        retryable: false,
      });
    const revoked = record.revoked();
    this.#now = new Map(
      [...this.#base].map(([name, base]) => {
        const context = named?.value.get(name) ?? base;
        return [name, { ...context, policy: { ...context.policy, revoked } }];
      }),
    );
    this.#names = new Map(
      taken === undefined ? [] : policyOf(taken.envelope).keys.map(({ keyid, name }) => [keyid, name]),
    );
  }

  /** What a document makes of the channels that it names. */
  #contexts({ keys, channels }: TrustPolicy): ControlResult<ReadonlyMap<string, ChannelContext>> {
    const known = new Map<string, PublicKey>();
    for (const { name, keyid, spki } of keys) {
      const key = keyOf(spki);
      if (typeof key === 'string') return no('statement-malformed', `key ${name}: ${key}`);
      if (key.keyid !== keyid)
        return no('statement-malformed', `key ${name} has the id ${key.keyid}, and not ${keyid}`);
      known.set(name, key);
    }
    const contexts = new Map<string, ChannelContext>();
    for (const channel of channels) {
      const base = this.#base.get(channel.name);
      if (base === undefined) continue;
      const context = contextOf(base, channel, known);
      const fault = policyFault(context.policy);
      if (fault !== undefined) return no('statement-malformed', fault);
      contexts.set(channel.name, context);
    }
    return { ok: true, value: contexts };
  }
}

const wordsOf = ({ from, until }: KeyWindow): string =>
  until === undefined ? `from ${String(from)}` : `${String(from)} to ${String(until)}`;

/** A document that was checked before it went into the ledger. @throws OperationalError `policy-fault` */
function policyOf(bytes: Uint8Array): TrustPolicy {
  const envelope = parseEnvelope(bytes);
  const policy = envelope.ok ? parsePolicy(envelope.value.payload) : envelope;
  if (policy.ok) return policy.value;
  throw new OperationalError('policy-fault', `the policy in the ledger: ${policy.error.detail}`, { retryable: false });
}

/** The key, or what is wrong with it. */
function keyOf(spki: Uint8Array): PublicKey | string {
  const lines =
    Buffer.from(spki)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  try {
    return loadVerifier(`-----BEGIN PUBLIC KEY-----\n${lines.join('\n')}\n-----END PUBLIC KEY-----\n`);
  } catch (error) {
    if (error instanceof OperationalError) return error.message;
    throw error;
  }
}

function contextOf(
  { policy, sha256 }: ChannelContext,
  { transport, release }: TrustPolicy['channels'][number],
  known: ReadonlyMap<string, PublicKey>,
): ChannelContext {
  const idOf = ({ key }: { readonly key: string }): string => known.get(key)?.keyid ?? '';
  const [first, ...others] = release;
  const all = [...transport, ...release.flatMap(({ keys }) => keys)];
  const bounded = all.filter(({ from, until }) => from > 1 || until !== undefined);
  const changed: ChannelPolicy = {
    ...policy,
    transportKeys: transport.map(idOf),
    releaseKeys: first?.keys.map(idOf) ?? [],
    releaseSignatures: first?.signatures ?? 0,
    roles: others.map(({ role, signatures, keys }) => ({ role, signatures, keys: keys.map(idOf) })),
    windows: Object.fromEntries(bounded.map((grant) => [idOf(grant), { from: grant.from, until: grant.until }])),
  };
  const used = new Set(all.map(({ key }) => key));
  const verifiers = new Map([...known].filter(([name]) => used.has(name)).map(([, key]) => [key.keyid, key] as const));
  return { policy: changed, verifiers, sha256 };
}
