import { describe, expect, it } from 'vitest';
import { encodeHistory } from '../src/history.ts';
import { type ChannelPolicy, checkPolicy, policyFault } from '../src/policy.ts';
import { type Artifact, encodeRelease } from '../src/release.ts';
import { encodeTransport } from '../src/transport.ts';
import { checkStanding, type VerifyContext, verifyHistory, verifyRelease, verifyTransport } from '../src/verify.ts';
import {
  codeOf,
  DIGEST,
  digestOf,
  envelope,
  file,
  image,
  type Key,
  makeKey,
  policyOf,
  releaseOf,
  sha256,
  transportOf,
  valueOf,
} from './samples.ts';

const [sender, next, ada, bob, cem, dora] = [makeKey(), makeKey(), makeKey(), makeKey(), makeKey(), makeKey()];
const KEYS = [sender, next, ada, bob, cem, dora];

const contextOf = (over: Partial<ChannelPolicy>): VerifyContext => ({
  policy: policyOf({ transportKeys: [sender.keyid, next.keyid], releaseKeys: [ada.keyid, bob.keyid], ...over }),
  verifiers: new Map(KEYS.map((key) => [key.keyid, key])),
  sha256,
});

const statementOf = (over: Parameters<typeof transportOf>[0] & { readonly sequence: number }) =>
  transportOf({ ...over, previous: over.sequence === 1 ? null : DIGEST });

const sent = (sequence: number, key: Key, over: Partial<ChannelPolicy>): string =>
  codeOf(verifyTransport(envelope(encodeTransport(statementOf({ sequence })), key), contextOf(over)));

/** A release with these signatures, in a bundle of this number. */
function approved(
  sequence: number,
  by: readonly Key[],
  over: Partial<ChannelPolicy>,
): ReturnType<typeof verifyRelease> {
  const bytes = envelope(encodeRelease(releaseOf(image())), ...by);
  const statement = statementOf({ sequence, release: { digest: digestOf(bytes), size: bytes.length } });
  const context = contextOf(over);
  const transport = valueOf(verifyTransport(envelope(encodeTransport(statement), sender), contextOf({})));
  return verifyRelease(bytes, transport, { ...context, versionOf: () => undefined });
}

describe('a key with a window', () => {
  const windows = { [sender.keyid]: { from: 1, until: 10 }, [next.keyid]: { from: 9 } };

  it('makes a transport statement for the numbers in it, both ends among them, and for no others', () => {
    expect([1, 10].map((sequence) => sent(sequence, sender, { windows }))).toEqual(['ok', 'ok']);
    expect([9, 10, 1_000_000].map((sequence) => sent(sequence, next, { windows }))).toEqual(['ok', 'ok', 'ok']);
    expect(sent(11, sender, { windows })).toBe('key-out-of-window');
    expect(sent(8, next, { windows })).toBe('key-out-of-window');
  });

  it('approves a release in a bundle of those numbers, whenever it signed', () => {
    const bounded = { windows: { [ada.keyid]: { from: 5, until: 7 } } };
    expect([4, 5, 7, 8].map((sequence) => codeOf(approved(sequence, [ada], bounded)))).toEqual([
      ...['key-out-of-window', 'ok', 'ok', 'key-out-of-window'],
    ]);
    // Another key makes up for it, and the one that does not count is not named among the signers.
    expect(valueOf(approved(8, [ada, bob], bounded)).signers).toEqual([bob.keyid]);
    expect(codeOf(approved(8, [ada, bob], { ...bounded, releaseSignatures: 2 }))).toBe('key-out-of-window');
  });

  it('tells the history up to the number before its first, since it signs from then on', () => {
    const told = (newest: number, key: Key): string => {
      const bundles = [{ sequence: newest, bundle: DIGEST, name: 'x', bytes: 1 }];
      const payload = encodeHistory({ channel: 'prod', bundles });
      return codeOf(verifyHistory(envelope(payload, key), contextOf({ windows })));
    };
    expect([10, 11].map((newest) => told(newest, sender))).toEqual(['ok', 'key-out-of-window']);
    expect([7, 8, 9].map((newest) => told(newest, next))).toEqual(['key-out-of-window', 'ok', 'ok']);
  });
});

describe('roles', () => {
  const roles = [{ role: 'security', keys: [cem.keyid, dora.keyid], signatures: 1 }];

  it('each need their own: no number of signatures of one makes up for another', () => {
    expect(codeOf(approved(1, [ada, bob], { roles }))).toBe('too-few-release-signatures');
    expect(codeOf(approved(1, [cem, dora], { roles }))).toBe('too-few-release-signatures');
    expect(codeOf(approved(1, [ada, cem], { roles, releaseSignatures: 2 }))).toBe('too-few-release-signatures');
    expect(valueOf(approved(1, [ada, cem, bob], { roles, releaseSignatures: 2 })).signers.toSorted()).toEqual(
      [ada, bob, cem].map(({ keyid }) => keyid).toSorted(),
    );
  });

  it('are of different keys, that are no transport keys, and not more signatures than keys', () => {
    const fault = (keys: readonly Key[], signatures: number): string | undefined =>
      policyFault(contextOf({ roles: [{ role: 'x', keys: keys.map(({ keyid }) => keyid), signatures }] }).policy);
    expect(fault([cem, dora], 2)).toBeUndefined();
    expect(fault([cem, ada], 1)).toContain('has another place');
    expect(fault([sender], 1)).toContain('has another place');
    expect(fault([cem], 2)).toContain('wants 2 signatures');
    expect(fault([cem, cem], 2)).toContain('wants 2 signatures');
    expect(fault([cem], 0)).toContain('wants 0 signatures');
  });
});

describe('a revoked key', () => {
  it('counts nowhere, wherever it is listed', () => {
    expect(sent(1, sender, { revoked: new Set([sender.keyid]) })).toBe('key-revoked');
    expect(sent(1, next, { revoked: new Set([sender.keyid]) })).toBe('ok');
    const revoked = new Set([ada.keyid]);
    expect(codeOf(approved(1, [ada], { revoked }))).toBe('key-revoked');
    expect(valueOf(approved(1, [ada, bob], { revoked })).signers).toEqual([bob.keyid]);
    expect(codeOf(approved(1, [ada, bob], { revoked, releaseSignatures: 2 }))).toBe('key-revoked');
    const roles = [{ role: 'security', keys: [cem.keyid], signatures: 1 }];
    expect(codeOf(approved(1, [ada, cem], { roles, revoked: new Set([cem.keyid]) }))).toBe('key-revoked');
  });

  it('takes back what held before, by the keys that were recorded', () => {
    const signed = { sequence: 3, signer: sender.keyid, approvers: [ada.keyid, bob.keyid] };
    const standing = (over: Partial<ChannelPolicy>, of = signed) => codeOf(checkStanding(contextOf(over).policy, of));
    expect(standing({ releaseSignatures: 2 })).toBe('ok');
    expect(standing({ releaseSignatures: 2, revoked: new Set([bob.keyid]) })).toBe('key-revoked');
    expect(standing({ releaseSignatures: 1, revoked: new Set([bob.keyid]) })).toBe('ok');
    expect(standing({ revoked: new Set([sender.keyid]) })).toBe('key-revoked');
    expect(standing({ releaseKeys: [cem.keyid] })).toBe('too-few-release-signatures');
  });
});

describe('types that must have a version', () => {
  it('are refused without one, by channel and type', () => {
    const versioned = ['image', 'file'] as const;
    const check = (...artifacts: readonly Artifact[]) =>
      codeOf(checkPolicy(releaseOf(...artifacts), policyOf({ versioned })));
    expect(check(image())).toBe('version-missing');
    expect(check(image({ version: 1 }), file('motd'))).toBe('version-missing');
    expect(check(image({ version: 1 }), image({ name: 'chart', type: 'chart' }))).toBe('ok');
    expect(codeOf(checkPolicy(releaseOf(image()), policyOf({})))).toBe('ok');
  });
});
