// The payload of a trust policy: whose signatures the isolated side believes.
import { encodePolicy, parsePolicy, type TrustPolicy } from '../../../packages/bundle/src/index.ts';
import { type FuzzTarget, check, same, utf8 } from '../target.ts';

const HEX = '0a'.repeat(32);
const OTHER = '0b'.repeat(32);
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** What is refused is refused with one of these, or as no JSON of ours. */
const CODES = ['statement-malformed', 'predicate-type', 'digest-algorithm', 'digest-malformed'];

const distinct = (names: readonly string[]): boolean => new Set(names).size === names.length;

function run(payload: Uint8Array): void {
  const parsed = parsePolicy(payload);
  if (!parsed.ok) {
    const { code } = parsed.error;
    check(CODES.includes(code) || code.startsWith('json-'), `a policy is refused with ${code}`);
    return;
  }
  const { version, keys, channels } = parsed.value;
  check(Number.isSafeInteger(version) && version >= 1, 'the version');
  check(keys.length >= 1 && keys.length <= 256 && channels.length >= 1 && channels.length <= 16, 'keys and channels');
  const names = keys.map(({ name }) => name);
  check(distinct(names) && distinct(keys.map(({ keyid }) => keyid)), 'a key twice');
  check(
    keys.every(({ keyid, name }) => /^[0-9a-f]{64}$/.test(keyid) && NAME.test(name)),
    'a key by another name',
  );
  check(distinct(channels.map(({ name }) => name)), 'a channel twice');
  for (const { name, transport, release } of channels) {
    check(
      NAME.test(name) && release.length >= 1 && distinct(release.map(({ role }) => role)),
      'a channel or its roles',
    );
    for (const grants of [transport, ...release.map(({ keys: of }) => of)]) {
      check(grants.length >= 1 && distinct(grants.map(({ key }) => key)), 'nobody, or somebody twice');
      for (const { key, from, until = 1 } of grants)
        check(names.includes(key) && from >= 1 && until >= 1, 'a key that is in no list, or its window');
    }
    check(
      release.every(({ role, signatures }) => NAME.test(role) && signatures >= 1),
      'a role that needs nobody',
    );
  }
  const written = encodePolicy(parsed.value);
  const again = parsePolicy(written);
  check(again.ok, 'a policy read and written again is refused');
  same(again.value, parsed.value, 'a policy read, written and read');
  check(Buffer.compare(encodePolicy(again.value), written) === 0, 'a policy has two spellings');
}

const grant = (key: string, from = 1, until?: number) => ({ key, from, until });
const POLICY: TrustPolicy = {
  version: 3,
  keys: [
    { name: 'sender-2026', keyid: HEX, spki: Uint8Array.of(1, 2, 3) },
    { name: 'ada', keyid: OTHER, spki: Uint8Array.of(4, 5) },
  ],
  channels: [
    {
      name: 'prod',
      transport: [grant('sender-2026', 1, 400)],
      release: [
        { role: 'release', signatures: 2, keys: [grant('ada', 7), grant('sender-2026')] },
        { role: 'security', signatures: 1, keys: [grant('ada')] },
      ],
    },
    { name: 'lab', transport: [grant('ada')], release: [{ role: 'r', signatures: 1, keys: [grant('ada')] }] },
  ],
};

function* seeds(): Generator<Uint8Array> {
  const text = new TextDecoder().decode(encodePolicy(POLICY));
  yield utf8(text);
  for (const [from, to] of [
    ['"version":3', '"version":0'],
    ['"version":3', '"version":9007199254740993'],
    ['"version":3,', ''],
    ['"sender-2026"', '"a b"'],
    ['"name":"ada"', '"name":"bob"'],
    ['"name":"lab"', '"name":"prod"'],
    ['"name":"lab"', '"name":"-"'],
    ['"role":"security"', '"role":"release"'],
    ['"signatures":2', '"signatures":0'],
    ['"signatures":2', '"signatures":3'],
    ['"until":400', '"until":0'],
    ['"from":7', '"from":7,"until":6'],
    ['"spki":"AQID"', '"spki":"A"'],
    ['"key":"ada"', '"key":"constructor"'],
    ['[{"key":"ada","from":7},{"key":"sender-2026"}]', '[]'],
    ['[{"key":"ada","from":7},{"key":"sender-2026"}]', '[{"key":"ada"},{"key":"ada"}]'],
    [OTHER, HEX],
    [OTHER, 'x'],
    [`{"sha256":"${OTHER}"}`, '{"sha512":"0"}'],
    [
      `{"name":"ada","digest":{"sha256":"${OTHER}"}}`,
      `{"name":"ada","digest":{"sha256":"${OTHER}"}},{"name":"bob","digest":{"sha256":"${OTHER}"}}`,
    ],
    ['urn:sluice:policy:v1', 'urn:sluice:policy:v2'],
    ['"predicate":{', '"predicate":{"more":1,'],
    ['"channels":[', '"channels":7,"x":['],
  ] as const) {
    check(text.includes(from), `a seed does not hold ${from}`);
    yield utf8(text.replace(from, to));
  }
  yield utf8(text.replace(/"keys":\[[^\]]*\]/, '"keys":[]'));
  yield utf8('{');
}

export const target: FuzzTarget = {
  about: 'a trust policy: keys, channels and roles that are distinct and can be, of one spelling',
  files: ['packages/bundle/src/trust-policy.ts'],
  bytesMax: 2048,
  words: [
    ...['"version":', '"keys":[', '"name":"', '"spki":"AQID"', '"channels":[', '"transport":[', '"release":['],
    ...['"role":"', '"signatures":', '"key":"ada"', '"from":', '"until":', '"subject":[', '"digest":{"sha256":"'],
    ...['urn:sluice:policy:v1', '"predicateType":', '"predicate":{', '"_type":', HEX, OTHER, '"__proto__":'],
  ],
  run,
  seeds,
};
