import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BUNDLE_CODES, type Digest, ENVELOPE_BYTES, type Result } from '@sluice/ports';
import { encodeEnvelope } from '../src/dsse.ts';
import { encodeReceipt } from '../src/receipt.ts';
import { type Artifact, encodeRelease } from '../src/release.ts';
import { encodeTransport, type TransportStatement } from '../src/transport.ts';
import {
  checkChain,
  type VerifiedTransport,
  type VerifyContext,
  verifyRelease,
  verifyTransport,
} from '../src/verify.ts';
import {
  codeOf,
  DIGEST,
  digestOf,
  envelope,
  file,
  HEX,
  image,
  json,
  type Key,
  makeKey,
  mutated,
  policyOf,
  random,
  releaseOf,
  sha256,
  transportOf,
  utf8,
  valueOf,
} from './samples.ts';

const [sender, ada, bob, stranger] = [makeKey(), makeKey(), makeKey(), makeKey()];
const OTHER = `sha256:${'cd'.repeat(32)}` as const;

const context = (over: Parameters<typeof policyOf>[0] = {}): VerifyContext => ({
  policy: policyOf({ transportKeys: [sender.keyid], releaseKeys: [ada.keyid, bob.keyid], ...over }),
  verifiers: new Map([sender, ada, bob].map((key) => [key.keyid, key])),
  sha256,
});

const transportBytes = (over: Partial<TransportStatement> = {}, ...keys: readonly Key[]): Uint8Array =>
  envelope(encodeTransport(transportOf(over)), ...(keys.length === 0 ? [sender] : keys));
const transport = (bytes: Uint8Array, over: Parameters<typeof policyOf>[0] = {}): Result<VerifiedTransport> =>
  verifyTransport(bytes, context(over));

/** A release envelope judged after a transport statement that names it. */
function release(
  bytes: Uint8Array,
  over: Parameters<typeof policyOf>[0] = {},
  versionOf: (type: string, target: string) => number | undefined = () => undefined,
): ReturnType<typeof verifyRelease> {
  const named = { digest: digestOf(bytes), size: bytes.length };
  const carrier = valueOf(transport(transportBytes({ release: named })));
  return verifyRelease(bytes, carrier, { ...context(over), versionOf });
}

const approved = (...artifacts: readonly Artifact[]): Uint8Array =>
  envelope(encodeRelease(releaseOf(...(artifacts.length === 0 ? [image()] : artifacts))), ada);
const database = (version: number): Artifact =>
  image({ name: 'db', type: 'cve-db', version, target: { repository: 'db', tags: ['2'] } });

/** The chain as far as `taken` tells. */
const chained = (
  over: Partial<TransportStatement>,
  taken: Readonly<Record<number, Digest>>,
): ReturnType<typeof checkChain> =>
  checkChain(valueOf(transport(transportBytes(over))), { takenBy: (sequence) => taken[sequence] });

/** A signature of the right key over other bytes. */
const broken = (payload: Uint8Array, key: Key): Uint8Array =>
  encodeEnvelope({ payload, signatures: [key.sign(utf8('something else'))] });

/** One case for each code that statements, policy and their verification can give. */
const CASES: Readonly<Record<string, () => Result<unknown>>> = {
  'json-malformed': () => transport(utf8('{')),
  'json-duplicate-key': () => transport(utf8('{"payload":"","payload":""}')),
  'json-unknown-key': () => transport(json({ payloadType: 'application/vnd.in-toto+json', x: 1 })),
  'statement-too-large': () => transport(new Uint8Array(ENVELOPE_BYTES + 1)),
  'envelope-malformed': () => transport(json([])),
  'statement-malformed': () => transport(transportBytes({ sequence: 0 })),
  'payload-type': () => transport(json({ payloadType: 'text/plain', payload: '', signatures: [] })),
  'predicate-type': () => transport(envelope(encodeRelease(releaseOf(image())), sender)),
  'digest-algorithm': () => transport(transportBytes({ previous: 'sha512:ab' as unknown as Digest })),
  'signature-invalid': () => transport(broken(encodeTransport(transportOf()), sender)),
  'signer-unknown': () => transport(transportBytes({}, stranger)),
  'too-few-release-signatures': () => release(approved(), { releaseSignatures: 2 }),
  'key-revoked': () => transport(transportBytes(), { revoked: new Set([sender.keyid]) }),
  'key-out-of-window': () => release(approved(), { windows: { [ada.keyid]: { from: 13 } } }),
  'channel-mismatch': () => transport(transportBytes({ channel: 'test' })),
  'sequence-repeated': () => chained({}, { 12: OTHER }),
  'chain-mismatch': () => chained({}, { 11: OTHER }),
  'release-mismatch': () =>
    verifyRelease(approved(), valueOf(transport(transportBytes())), { ...context(), versionOf: () => undefined }),
  'type-not-allowed': () => release(approved(), { types: ['file'] }),
  'repository-not-allowed': () => release(approved(), { repositories: ['other/**'] }),
  'path-outside-root': () => release(approved(file('../motd'))),
  'bundle-too-large': () => release(approved(), { maxBytes: 1 }),
  'version-missing': () => release(approved(), { versioned: ['image'] }),
  'version-not-newer': () => release(approved(database(5)), {}, () => 5),
};

describe('codes', () => {
  it.each(Object.keys(CASES))('%s', (code) => {
    expect(codeOf(CASES[code]!())).toBe(code);
  });

  it('are all that these files can give', () => {
    const names = [
      'json',
      'dsse',
      'fields',
      'statement',
      'release',
      'transport',
      'receipt',
      'policy',
      'approval',
      'verify',
    ];
    const source = names.map((name) => readFileSync(new URL(`../src/${name}.ts`, import.meta.url), 'utf8')).join('\n');
    const given = BUNDLE_CODES.filter((code) => source.includes(`'${code}'`));
    expect(given.toSorted()).toEqual(Object.keys(CASES).toSorted());
  });
});

describe('a transport statement', () => {
  it('that holds names its bundle by the digest of the envelope', () => {
    const bytes = transportBytes();
    expect(valueOf(transport(bytes))).toMatchObject({
      id: digestOf(bytes),
      signer: sender.keyid,
      statement: transportOf(),
    });
  });

  it('counts when one of its signatures is good, whatever the others are', () => {
    const payload = encodeTransport(transportOf());
    const signatures = [stranger.sign(payload), sender.sign(utf8('x')), sender.sign(payload)];
    expect(codeOf(transport(encodeEnvelope({ payload, signatures })))).toBe('ok');
  });

  it('is not for a release key, a receipt or no one to sign', () => {
    expect(codeOf(transport(transportBytes({}, ada)))).toBe('signer-unknown');
    expect(codeOf(transport(encodeEnvelope({ payload: encodeTransport(transportOf()), signatures: [] })))).toBe(
      'signer-unknown',
    );
    const receipt = encodeReceipt({
      bundle: DIGEST,
      channel: 'prod',
      sequence: 1,
      result: 'failed',
      code: 'x',
      artifacts: [],
      seconds: 0,
    });
    expect(codeOf(transport(envelope(receipt, sender)))).toBe('predicate-type');
  });

  it("is not signed by another key under the sender's key id", () => {
    const payload = encodeTransport(transportOf());
    const signatures = [{ keyid: sender.keyid, sig: stranger.sign(payload).sig }];
    expect(codeOf(transport(encodeEnvelope({ payload, signatures })))).toBe('signature-invalid');
  });

  it('is not signed by a key that the policy names but no file holds', () => {
    const { policy } = context({ transportKeys: [stranger.keyid] });
    expect(codeOf(verifyTransport(transportBytes({}, stranger), { ...context(), policy }))).toBe('signer-unknown');
  });

  it('is judged by its signature before its form', () => {
    expect(codeOf(transport(envelope(utf8('{'), stranger)))).toBe('signer-unknown');
    expect(codeOf(transport(transportBytes({ channel: 'test' }, stranger)))).toBe('signer-unknown');
  });
});

describe('the chain', () => {
  it.each<[string, string, Partial<TransportStatement>, Readonly<Record<number, Digest>>]>([
    ['goes on from the known head', 'new', {}, { 11: DIGEST }],
    ['goes on over a gap', 'new', {}, { 10: OTHER }],
    ['begins with the first', 'new', { sequence: 1, previous: null }, {}],
    ['takes one that was missing', 'new', {}, { 13: OTHER }],
  ])('%s', (_what, expected, over, taken) => {
    expect(chained(over, taken)).toEqual({ ok: true, value: expected });
  });

  it('knows a bundle that has its place already, whatever comes before it', () => {
    const bytes = transportBytes();
    expect(chained({}, { 11: OTHER, 12: digestOf(bytes) })).toEqual({ ok: true, value: 'seen' });
  });
});

describe('a release', () => {
  it('that holds names its signers, each once', () => {
    const payload = encodeRelease(releaseOf(image()));
    const signatures = [ada, bob, ada].map((key) => key.sign(payload));
    const held = valueOf(release(encodeEnvelope({ payload, signatures }), { releaseSignatures: 2 }));
    expect(held.signers).toEqual([ada.keyid, bob.keyid]);
    expect(held.statement).toEqual(releaseOf(image()));
  });

  it('has one approver when one key signed twice', () => {
    const payload = encodeRelease(releaseOf(image()));
    const bytes = encodeEnvelope({ payload, signatures: [ada.sign(payload), ada.sign(payload)] });
    expect(codeOf(release(bytes, { releaseSignatures: 2 }))).toBe('too-few-release-signatures');
  });

  it('has no approver in the transport key, not even where it is listed as one', () => {
    const payload = encodeRelease(releaseOf(image()));
    const releaseKeys = [sender.keyid, ada.keyid];
    expect(codeOf(release(envelope(payload, sender)))).toBe('signer-unknown');
    expect(codeOf(release(envelope(payload, sender), { releaseKeys }))).toBe('signer-unknown');
    expect(codeOf(release(envelope(payload, sender, ada), { releaseKeys, releaseSignatures: 2 }))).toBe(
      'too-few-release-signatures',
    );
  });

  it('needs no signature in a lab, and still its form', () => {
    const lab = { releaseSignatures: 0, releaseKeys: [] };
    const bytes = encodeEnvelope({ payload: encodeRelease(releaseOf(image())), signatures: [] });
    expect(valueOf(release(bytes, lab)).signers).toEqual([]);
    expect(codeOf(release(bytes))).toBe('signer-unknown');
    expect(codeOf(release(encodeEnvelope({ payload: utf8('{}'), signatures: [] }), lab))).toBe('statement-malformed');
  });

  it('is judged by its signatures before its form, and by its form before the policy', () => {
    expect(codeOf(release(envelope(utf8('{'), stranger)))).toBe('signer-unknown');
    expect(codeOf(release(approved(file('../motd')), { types: [] }))).toBe('path-outside-root');
  });

  it.each<[string, number, (digest: Digest) => Digest]>([
    ['size', 1, (digest) => digest],
    ['digest', 0, () => DIGEST],
  ])('must have the %s that the transport statement names', (_what, more, named) => {
    const bytes = approved();
    const other = { digest: named(digestOf(bytes)), size: bytes.length + more };
    const carrier = valueOf(transport(transportBytes({ release: other })));
    expect(codeOf(verifyRelease(bytes, carrier, { ...context(), versionOf: () => undefined }))).toBe(
      'release-mismatch',
    );
  });

  it.each([
    [4, 'version-not-newer'],
    [5, 'version-not-newer'],
    [6, 'ok'],
  ])('with version %i after 5: %s', (version, expected) => {
    const asked: string[] = [];
    const versionOf = (type: string, target: string): number => {
      asked.push(`${type} ${target}`);
      return 5;
    };
    expect(codeOf(release(approved(image(), database(version)), {}, versionOf))).toBe(expected);
    expect(asked).toEqual(['cve-db db']);
  });
});

describe('damage', () => {
  it('is never thrown over, and never makes a signature', () => {
    const next = random(8);
    const [first, second] = [transportBytes(), approved()];
    const carrier = valueOf(transport(transportBytes({ release: { digest: DIGEST, size: second.length } })));
    // The digest is taken as right, so that the damage comes through to the parsers.
    const blind = { ...context(), sha256: () => Uint8Array.fromHex(HEX), versionOf: () => undefined };
    let held = 0;
    for (let i = 0; i < 3000; i += 1) {
      const one = transport(mutated(first, next));
      if (one.ok) expect(one.value.statement).toEqual(transportOf());
      const two = verifyRelease(mutated(second, next), carrier, blind);
      if (two.ok) expect(two.value.statement).toEqual(releaseOf(image()));
      held += Number(one.ok) + Number(two.ok);
    }
    expect(held).toBeLessThan(600);
  });
});
