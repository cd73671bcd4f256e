import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnvelope, parseRelease, preAuthEncoding, type ReleaseStatement } from '@sluice/bundle';
import type { BundleRecord, ReceiverLedger } from '@sluice/ledger';
import { type Digest, hexOf } from '@sluice/ports';
import { loadVerifier, type PublicKey, sha256Digest } from '@sluice/trust';

export interface FoundStatement {
  readonly name: string;
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  /** The bytes are what their name says. */
  readonly isWhole: boolean;
}

export interface CheckedSignature {
  readonly keyid: string;
  /** What the key is trusted for by the anchors in the ledger's archive; `unknown` when it is none of them. */
  readonly roles: readonly string[];
  /** Undefined where there is no key to check it with. */
  readonly holds: boolean | undefined;
}

/** A bundle's statements, from the store where it was let in, from the quarantine where it was not. */
export function statementsOf(
  { id, release }: Pick<BundleRecord, 'id' | 'release'>,
  { store, quarantine }: { readonly store: string; readonly quarantine: string },
): FoundStatement[] {
  const wanted = new Map([
    ['transport', id],
    ['release', release],
  ]);
  return [...wanted].flatMap(([name, digest]) => {
    const hex = hexOf(digest);
    const places = [join(store, 'blobs/sha256', hex), join(quarantine, hexOf(id), `${hex}.dsse.json`)];
    const path = places.find((place) => existsSync(place));
    if (path === undefined) return [];
    const bytes = readFileSync(path);
    return [{ name, digest, bytes, isWhole: sha256Digest(bytes) === digest }];
  });
}

interface Anchors {
  readonly channels: readonly {
    readonly channel: string;
    readonly transport: readonly string[];
    readonly release: readonly string[];
    readonly roles: readonly { readonly role: string; readonly keys: readonly string[] }[];
  }[];
  readonly importers: readonly string[];
}

/** Every key that was ever a trust anchor here, with what for. */
export function anchorsOf(
  ledger: ReceiverLedger,
): ReadonlyMap<string, { readonly key: PublicKey; readonly roles: Set<string> }> {
  const known = new Map<string, { key: PublicKey; roles: Set<string> }>();
  const add = (pem: string, role: string): void => {
    const key = loadVerifier(pem);
    const entry = known.get(key.keyid) ?? { key, roles: new Set<string>() };
    entry.roles.add(role);
    known.set(key.keyid, entry);
  };
  for (const { text } of ledger.archive.all('trust')) {
    const { channels, importers } = JSON.parse(text) as Anchors;
    for (const { channel, transport, release, roles } of channels) {
      for (const pem of transport) add(pem, `transport ${channel}`);
      for (const pem of release) add(pem, `release ${channel}`);
      for (const { role, keys } of roles) for (const pem of keys) add(pem, `${role} ${channel}`);
    }
    for (const pem of importers) add(pem, 'importer');
  }
  return known;
}

/** The signatures of an envelope, each by itself. */
export function signaturesOf(bytes: Uint8Array, anchors: ReturnType<typeof anchorsOf>): CheckedSignature[] {
  const envelope = parseEnvelope(bytes);
  if (!envelope.ok) return [];
  const message = preAuthEncoding(envelope.value.payload);
  return envelope.value.signatures.map(({ keyid, sig }) => {
    const anchor = anchors.get(keyid);
    const roles = anchor === undefined ? ['unknown'] : [...anchor.roles];
    return { keyid, roles, holds: anchor?.key.verify(message, sig) };
  });
}

export function releaseIn(statements: readonly FoundStatement[]): ReleaseStatement | undefined {
  const found = statements.find(({ name }) => name === 'release');
  const envelope = found === undefined ? undefined : parseEnvelope(found.bytes);
  const read = envelope?.ok ? parseRelease(envelope.value.payload) : undefined;
  return read?.ok ? read.value : undefined;
}
