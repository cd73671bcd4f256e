import { describe, expect, it } from 'vitest';
import { encodePolicy, parsePolicy, type TrustPolicy } from '../src/trust-policy.ts';
import { codeOf, HEX, json, mutated, random, utf8, valueOf } from './samples.ts';

const OTHER = 'cd'.repeat(32);
const POLICY: TrustPolicy = {
  version: 3,
  keys: [
    { name: 'sender-2026', keyid: HEX, spki: Uint8Array.of(1, 2, 3) },
    { name: 'ada', keyid: OTHER, spki: Uint8Array.of(4, 5) },
  ],
  channels: [
    {
      name: 'prod',
      transport: [{ key: 'sender-2026', from: 1, until: 400 }],
      release: [{ role: 'release', signatures: 1, keys: [{ key: 'ada', from: 7, until: undefined }] }],
    },
  ],
};

type Json = Record<string, unknown>;
const document = (): Json => JSON.parse(Buffer.from(encodePolicy(POLICY)).toString()) as Json;
/** The document with something in its predicate changed. */
const changed = (change: (predicate: Json) => void): string => {
  const whole = document();
  change(whole.predicate as Json);
  return codeOf(parsePolicy(json(whole)));
};
const channel = (predicate: Json): Json => (predicate.channels as Json[])[0]!;
const role = (predicate: Json): Json => (channel(predicate).release as Json[])[0]!;

describe('a trust policy', () => {
  it('is read as it was written, and has one spelling', () => {
    const bytes = encodePolicy(POLICY);
    expect(valueOf(parsePolicy(bytes))).toEqual(POLICY);
    expect(encodePolicy(valueOf(parsePolicy(bytes)))).toEqual(bytes);
    expect(Buffer.from(bytes).toString()).toBe(
      `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"sender-2026","digest":{"sha256":"${HEX}"}},{"name":"ada","digest":{"sha256":"${OTHER}"}}],` +
        `"predicateType":"urn:sluice:policy:v1","predicate":{"version":3,"keys":[{"name":"sender-2026","spki":"AQID"},{"name":"ada","spki":"BAU="}],` +
        `"channels":[{"name":"prod","transport":[{"key":"sender-2026","until":400}],"release":[{"role":"release","signatures":1,"keys":[{"key":"ada","from":7}]}]}]}}`,
    );
  });

  it('is refused where it is not of the form', () => {
    const refused: Record<string, string> = {
      'version 0': changed((p) => (p.version = 0)),
      'no version': changed((p) => delete p.version),
      'no keys': changed((p) => (p.keys = [])),
      'no channels': changed((p) => (p.channels = [])),
      'no transport key': changed((p) => (channel(p).transport = [])),
      'no role': changed((p) => (channel(p).release = [])),
      'a role that needs nobody': changed((p) => (role(p).signatures = 0)),
      'a role without keys': changed((p) => (role(p).keys = [])),
      'a key that is not in it': changed((p) => (role(p).keys = [{ key: 'bob' }])),
      'a key twice in one role': changed((p) => (role(p).keys = [{ key: 'ada' }, { key: 'ada' }])),
      'a channel twice': changed((p) => (p.channels = [channel(p), channel(p)])),
      'a role twice': changed((p) => (channel(p).release = [role(p), role(p)])),
      'a window from 0': changed((p) => (role(p).keys = [{ key: 'ada', from: 0 }])),
      'a name with a space': changed((p) => (channel(p).name = 'a b')),
      'keys that are not the subject': changed((p) => (p.keys as unknown[]).reverse()),
      'a key without a subject': changed((p) => (p.keys as unknown[]).push({ name: 'bob', spki: 'AQID' })),
      'a key that is no base64': changed((p) => ((p.keys as Json[])[0]!.spki = 'A')),
    };
    expect(Object.entries(refused).filter(([, code]) => code !== 'statement-malformed')).toEqual([]);
    expect(changed((p) => (p.more = 1))).toBe('json-unknown-key');
    expect(codeOf(parsePolicy(utf8('{')))).toBe('json-malformed');
    expect(codeOf(parsePolicy(json({ ...document(), predicateType: 'urn:sluice:release:v1' })))).toBe('predicate-type');
  });

  it('is read or refused, never more, when mutated; what is read has one spelling', () => {
    const next = random(7);
    const bytes = encodePolicy(POLICY);
    let read = 0;
    for (let i = 0; i < 3000; i += 1) {
      const parsed = parsePolicy(mutated(bytes, next));
      if (!parsed.ok) continue;
      read += 1;
      expect(valueOf(parsePolicy(encodePolicy(parsed.value)))).toEqual(parsed.value);
    }
    expect(read).toBeGreaterThan(3);
  });
});
