import { describe, expect, it } from 'vitest';
import type { Result } from '@sluice/ports';
import { encodeReceipt, parseReceipt, type Receipt } from '../src/receipt.ts';
import { encodeRelease, parseRelease } from '../src/release.ts';
import { kindOfStatement } from '../src/statement.ts';
import { encodeTransport, parseTransport } from '../src/transport.ts';
import {
  codeOf,
  DIGEST,
  file,
  git,
  HEX,
  image,
  json,
  mutated,
  random,
  releaseOf,
  transportOf,
  utf8,
  valueOf,
} from './samples.ts';

const OTHER = `sha256:${'cd'.repeat(32)}` as const;

const RECEIPT: Receipt = {
  bundle: DIGEST,
  channel: 'prod',
  sequence: 12,
  result: 'imported',
  code: 'ok',
  artifacts: [{ name: 'busybox', digest: DIGEST, sites: [{ site: 'a', digest: DIGEST }] }],
  seconds: 1_700_000_000,
};

const RELEASE = releaseOf(image(), file('etc/motd'), git('code'));
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

/** A statement as text with one thing in it replaced; the thing must be there. */
function changed(bytes: Uint8Array, from: string, to: string): Uint8Array {
  expect(text(bytes)).toContain(from);
  return utf8(text(bytes).replace(from, to));
}

type Fault = readonly [what: string, code: string, from: string, to: string];

/** What holds for all three kinds. */
function checkKind(
  name: string,
  bytes: Uint8Array,
  parse: (bytes: Uint8Array) => Result<unknown>,
  faults: readonly Fault[],
): void {
  it.each<Fault>([
    ['no statement type', 'statement-malformed', 'in-toto.io/Statement/v1', 'in-toto.io/Statement/v0.1'],
    ['another predicate type', 'predicate-type', `urn:sluice:${name}:v1`, `urn:sluice:${name}:v2`],
    ['another key beside the predicate', 'json-unknown-key', '"predicate":', '"extra":1,"predicate":'],
    ['another key in the predicate', 'json-unknown-key', '"predicate":{', '"predicate":{"extra":1,'],
    ['another key in a subject', 'json-unknown-key', '"subject":[{', '"subject":[{"uri":"x",'],
    ['another digest in a subject', 'digest-algorithm', '"sha256":', '"sha512":'],
    ['a second digest in a subject', 'digest-algorithm', '"digest":{', '"digest":{"gitCommit":"x",'],
    ['an upper-case digest', 'statement-malformed', HEX, HEX.toUpperCase()],
    ['a key twice', 'json-duplicate-key', '"_type":', '"_type":1,"_type":'],
    ...faults,
  ])('refuses %s: %s', (_what, code, from, to) => {
    expect(codeOf(parse(changed(bytes, from, to)))).toBe(code);
  });

  it.each([
    ['a predicate that is a list', { predicate: [] }],
    ['no predicate', { predicate: undefined }],
    ['no subject', { subject: [] }],
    ['a subject that is no list', { subject: {} }],
    ['a subject without name', { subject: [{ digest: { sha256: HEX } }] }],
    ['a subject without digest', { subject: [{ name: 'x', digest: {} }] }],
  ])('refuses %s', (_what, over) => {
    const document = JSON.parse(text(bytes)) as Record<string, unknown>;
    expect(codeOf(parse(json({ ...document, ...over })))).toBe('statement-malformed');
  });

  it('is of its kind, and no other kind reads it', () => {
    expect(kindOfStatement(bytes)).toBe(name);
    const parsers = { release: parseRelease, transport: parseTransport, receipt: parseReceipt };
    for (const [kind, other] of Object.entries(parsers))
      expect(codeOf(other(bytes))).toBe(kind === name ? 'ok' : 'predicate-type');
  });

  it('is never thrown over when damaged', () => {
    const next = random(6);
    for (let i = 0; i < 5000; i += 1) {
      const read = parse(mutated(bytes, next));
      if (!read.ok) expect(read.error.detail).not.toBe('');
    }
  });
}

describe('release statement', () => {
  const bytes = encodeRelease(RELEASE);

  it('has room for 100,000 files', () => {
    const files = Array.from({ length: 100_000 }, (_, i) => file(`directory-${String(i % 100)}/file-${String(i)}.bin`));
    const written = encodeRelease(releaseOf(...files));
    expect(Buffer.compare(encodeRelease(valueOf(parseRelease(written))), written)).toBe(0);
  });

  it('is spelled as the protocol spells it', () => {
    expect(text(encodeRelease(releaseOf(file('etc/motd'))))).toBe(
      `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"etc/motd","digest":{"sha256":"${HEX}"}}],` +
        `"predicateType":"urn:sluice:release:v1","predicate":{"name":"platform 2026.11","artifacts":[{"name":"etc/motd","type":"file",` +
        `"digest":"sha256:${HEX}","size":17,"total":17,"target":{"path":"etc/motd"}}],"approvedBy":["Ada L."]}}`,
    );
  });

  it('reads what it wrote, and writes it again in the same bytes', () => {
    const versioned = image({
      name: 'db',
      type: 'cve-db',
      version: 1_764_000_000,
      target: { repository: 'db', tags: [] },
    });
    for (const release of [RELEASE, releaseOf(versioned), { ...RELEASE, approvedBy: [] }]) {
      const read = valueOf(parseRelease(encodeRelease(release)));
      expect(read).toEqual(release);
      expect(encodeRelease(read)).toEqual(encodeRelease(release));
    }
  });

  checkKind('release', bytes, parseRelease, [
    [
      'a name that differs from the subject',
      'statement-malformed',
      '"name":"busybox","type"',
      '"name":"busybux","type"',
    ],
    ['another key in an artifact', 'json-unknown-key', '"type":"image"', '"type":"image","urls":[]'],
    ['another key in a target', 'json-unknown-key', '"tags":["1.35"]', '"tags":["1.35"],"path":"x"'],
    ['an unknown type', 'statement-malformed', '"type":"image"', '"type":"helm"'],
    ['another digest algorithm', 'digest-algorithm', `"digest":"sha256:${HEX}"`, `"digest":"sha512:${HEX}"`],
    ['a digest that is none', 'statement-malformed', `"digest":"sha256:${HEX}"`, '"digest":"sha256:ab"'],
    ['a total below the size', 'statement-malformed', '"total":2212345', '"total":609'],
    ['a file larger than itself', 'statement-malformed', '"total":17', '"total":18'],
    ['a negative size', 'statement-malformed', '"size":610', '"size":-1'],
    ['a size as text', 'statement-malformed', '"size":610', '"size":"610"'],
    ['a fraction', 'json-malformed', '"size":610', '"size":610.5'],
    [
      'an image without media type',
      'statement-malformed',
      '"mediaType":"application/vnd.oci.image.index.v1+json",',
      '',
    ],
    ['a file with a media type', 'statement-malformed', '"type":"file"', '"type":"file","mediaType":"text/plain"'],
    ['a git state without version', 'statement-malformed', '"version":1,', ''],
    ['version 0', 'statement-malformed', '"version":1,', '"version":0,'],
    ['a git target with tags', 'json-unknown-key', '"repository":"team/code"', '"repository":"team/code","tags":[]'],
    ['an image without tags', 'statement-malformed', ',"tags":["1.35"]', ''],
    ['a tag that is none', 'statement-malformed', '"tags":["1.35"]', '"tags":["-x"]'],
    ['a tag twice', 'statement-malformed', '"tags":["1.35"]', '"tags":["1.35","1.35"]'],
    ['an upper-case repository', 'statement-malformed', 'library/busybox', 'Library/busybox'],
    ['a repository that climbs', 'statement-malformed', 'library/busybox', 'library/../x'],
    ['a repository of 256 characters', 'statement-malformed', 'library/busybox', 'x'.repeat(256)],
    ['an empty name', 'statement-malformed', '"name":"platform 2026.11"', '"name":""'],
    ['a control character', 'statement-malformed', 'platform 2026.11', 'a\\u0007b'],
    ['a control character beyond ASCII', 'statement-malformed', 'platform 2026.11', 'a\u009bb'],
    ['half a character', 'statement-malformed', 'platform 2026.11', 'a\\ud800b'],
    ['a name of 1025 characters', 'statement-malformed', 'platform 2026.11', 'x'.repeat(1025)],
    ['approvers that are no list', 'statement-malformed', '["Ada L."]', '"Ada L."'],
  ]);

  it.each([
    ['absolute', '/etc/motd'],
    ['above', '../motd'],
    ['above in the middle', 'etc/../../motd'],
    ['a dot', './motd'],
    ['an empty segment', 'etc//motd'],
    ['a directory', 'etc/'],
    ['a backslash', 'etc\\motd'],
  ])('refuses a path: %s', (_what, path) => {
    expect(codeOf(parseRelease(encodeRelease(releaseOf(file(path)))))).toBe('path-outside-root');
  });

  it.each([
    ['names', [file('a'), { ...file('b'), name: 'a' }]],
    ['paths', [file('a/b'), { ...file('a/b'), name: 'other' }]],
    ['a path and one below it', [file('a-b'), file('a/b/c'), file('a'), file('z')]],
    ['a tag', [image(), image({ name: 'other', digest: OTHER })]],
    ['a git repository', [git('one'), git('two', 2)]],
    ['no artifact at all', []],
  ])('refuses the same twice: %s', (_what, artifacts) => {
    expect(codeOf(parseRelease(encodeRelease(releaseOf(...artifacts))))).toBe('statement-malformed');
  });

  it('takes neighbours that only look alike', () => {
    const artifacts = [
      ...['a', 'a-b/c', 'a.b', 'ab/c', 'ab/d', 'b/a'].map(file),
      image(),
      image({ name: 'second tag', target: { repository: 'library/busybox', tags: ['1.36', 'latest'] } }),
      image({ name: 'no tag', target: { repository: 'library/busybox', tags: [] } }),
      image({ name: 'no tag either', digest: OTHER, target: { repository: 'library/busybox', tags: [] } }),
    ];
    expect(valueOf(parseRelease(encodeRelease(releaseOf(...artifacts)))).artifacts).toEqual(artifacts);
  });

  it('refuses a subject in another order, too long, too short or of another digest', () => {
    const [first, second] = [file('a'), { ...file('b'), digest: OTHER }];
    const swap = (subject: unknown[]): Uint8Array => {
      const document = JSON.parse(text(encodeRelease(releaseOf(first, second)))) as Record<string, unknown>;
      return json({ ...document, subject });
    };
    const [a, b] = [
      { name: 'a', digest: { sha256: HEX } },
      { name: 'b', digest: { sha256: OTHER.slice(7) } },
    ];
    expect(codeOf(parseRelease(swap([a, b])))).toBe('ok');
    for (const subject of [[b, a], [a], [a, b, b], [a, { ...b, digest: a.digest }]])
      expect(codeOf(parseRelease(swap(subject)))).toBe('statement-malformed');
  });
});

describe('transport statement', () => {
  const bytes = encodeTransport(transportOf());

  it('reads what it wrote, the first of a chain too', () => {
    for (const transport of [transportOf(), transportOf({ sequence: 1, previous: null, objects: [] })])
      expect(valueOf(parseTransport(encodeTransport(transport)))).toEqual(transport);
  });

  checkKind('transport', bytes, parseTransport, [
    ['sequence 0', 'statement-malformed', '"sequence":12', '"sequence":0'],
    ['no previous after the first', 'statement-malformed', `"previous":"sha256:${HEX}"`, '"previous":null'],
    ['a previous before the first', 'statement-malformed', '"sequence":12', '"sequence":1'],
    ['another algorithm of previous', 'digest-algorithm', '"previous":"sha256:', '"previous":"sha1:'],
    ['another key in an object', 'json-unknown-key', '"size":4194304', '"size":4194304,"x":1'],
    ['another key in the release', 'json-unknown-key', '"size":1234', '"size":1234,"x":1'],
    ['another content type', 'statement-malformed', 'application/x-tar', 'text/plain'],
    ['an empty object', 'statement-malformed', '"size":4194304', '"size":0'],
    ['a channel that is no text', 'statement-malformed', '"channel":"prod"', '"channel":1'],
    ['no blobs', 'statement-malformed', '"blobs":17', '"blobs":0'],
    ['no time', 'statement-malformed', ',"seconds":1700000000', ''],
    [
      'a subject that is not the release',
      'statement-malformed',
      `{"sha256":"${HEX}"}`,
      `{"sha256":"${OTHER.slice(7)}"}`,
    ],
  ]);

  it('refuses a second subject', () => {
    const document = JSON.parse(text(bytes)) as { readonly subject: readonly unknown[] };
    const subject = [...document.subject, ...document.subject];
    expect(codeOf(parseTransport(json({ ...document, subject })))).toBe('statement-malformed');
  });

  it('refuses an object twice', () => {
    const [object] = transportOf().objects;
    const twice = encodeTransport(transportOf({ objects: [object!, object!] }));
    expect(codeOf(parseTransport(twice))).toBe('statement-malformed');
  });
});

describe('receipt', () => {
  const bytes = encodeReceipt(RECEIPT);

  it('reads what it wrote, also of a bundle that was refused', () => {
    const refused = { ...RECEIPT, result: 'refused' as const, code: 'chain-mismatch', artifacts: [] };
    const elsewhere = { ...RECEIPT, artifacts: [], full: { digest: `sha256:${HEX}` as const, size: 1, artifacts: 7 } };
    for (const receipt of [RECEIPT, refused, elsewhere])
      expect(valueOf(parseReceipt(encodeReceipt(receipt)))).toEqual(receipt);
  });

  checkKind('receipt', bytes, parseReceipt, [
    ['another result', 'statement-malformed', '"imported"', '"delivered"'],
    ['another key in an artifact', 'json-unknown-key', '"sites":', '"x":1,"sites":'],
    ['another key in a site', 'json-unknown-key', '"site":"a"', '"site":"a","x":1'],
    ['a site without name', 'statement-malformed', '"site":"a"', '"site":""'],
    ['two subjects', 'statement-malformed', '"subject":[', `"subject":[{"name":"x","digest":{"sha256":"${HEX}"}},`],
    ['sequence 0', 'statement-malformed', '"sequence":12', '"sequence":0'],
    [
      'another receipt of nothing',
      'statement-malformed',
      '"seconds":',
      `"full":{"digest":"sha256:${HEX}","size":0,"artifacts":1},"seconds":`,
    ],
    [
      'another receipt by a name',
      'statement-malformed',
      '"seconds":',
      '"full":{"digest":"x","size":1,"artifacts":1},"seconds":',
    ],
    ['another key in `full`', 'json-unknown-key', '"seconds":', '"full":{"path":"x"},"seconds":'],
  ]);
});

describe('one spelling', () => {
  /** The same value with the keys of every object the other way round. */
  const turned = <T>(value: T): T => {
    if (Array.isArray(value)) return value.map((item: unknown) => turned(item)) as T;
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .toReversed()
        .map(([key, item]) => [key, turned(item as unknown)]),
    ) as T;
  };

  it('whatever the order of keys was', () => {
    expect(Object.keys(turned(RECEIPT))[0]).toBe('seconds');
    expect(encodeRelease(turned(RELEASE))).toEqual(encodeRelease(RELEASE));
    expect(encodeTransport(turned(transportOf()))).toEqual(encodeTransport(transportOf()));
    expect(encodeReceipt(turned(RECEIPT))).toEqual(encodeReceipt(RECEIPT));
  });
});

describe('the kind of a statement', () => {
  it.each<[string, string, string | undefined]>([
    ['with white space', '{ "predicateType" : "urn:sluice:release:v1" }', 'release'],
    ['with escapes', '{"predicate\\u0054ype":"urn:sluice:transport:v1"}', 'transport'],
    ['not by a text that quotes it', '{"x":"\\"predicateType\\":\\"urn:sluice:release:v1\\""}', undefined],
    ['not at a lower level', '{"predicate": { "predicateType" : "urn:sluice:release:v1" }}', undefined],
  ])('is found %s', (_what, payload, kind) => {
    expect(kindOfStatement(utf8(payload))).toBe(kind);
  });

  it.each(['', '[]', '{}', '{"predicateType":"https://slsa.dev/provenance/v1"}', '{"predicateType":"toString"}', 'x'])(
    'is unknown in %j',
    (payload) => {
      expect(kindOfStatement(utf8(payload))).toBeUndefined();
    },
  );
});
