import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import { OperationalError } from '@sluice/ports';
import {
  array,
  boolean,
  bytes,
  checked,
  CONFIG_BYTES_MAX,
  describeConfig,
  digestOfConfig,
  duration,
  fraction,
  integer,
  loadConfig,
  object,
  oneOf,
  optional,
  parseConfig,
  path,
  rate,
  record,
  secretFile,
  SECRET_BYTES_MAX,
  string,
  union,
  url,
  withDefault,
  type Infer,
} from '../src/index.ts';

const schema = object('the whole', {
  port: integer('UDP port', { min: 1, max: 65535 }),
  rate: withDefault(rate('ceiling', { min: 1e6, max: 1e11 }), '1Gbit/s'),
  memory: withDefault(bytes('memory'), '64MiB'),
  repair: withDefault(fraction('repair ratio', { max: 1 }), 0.1),
  outage: withDefault(duration('outage', { min: 1, max: 1000 }), '20ms'),
  profile: withDefault(oneOf('FEC profile', ['robust', 'fast']), 'robust'),
  verbose: optional(boolean('more lines')),
  inbox: optional(path('inbox')),
  redis: optional(url('Redis', ['redis:'])),
  key: optional(secretFile('link key')),
  store: optional(
    union('store', 'kind', { fs: { root: path('root') }, s3: { bucket: string('bucket', { max: 63 }) } }),
  ),
  names: optional(
    array('names', string('name', { pattern: /^[a-z]+$/, words: 'lower-case letters' }), { min: 1, max: 2 }),
  ),
  channels: optional(
    record(
      'channels',
      { pattern: /^[a-z]{1,8}$/, words: '1 to 8 lower-case letters' },
      object('one', { asid: integer('ASID', { max: 15 }) }),
      { max: 2 },
    ),
  ),
  even: optional(checked(integer('even'), (value) => (value % 2 === 0 ? undefined : 'must be even; add one.'))),
});

let directory = '';
const at = (name: string): string => join(directory, name);
const write = (name: string, content: string | Uint8Array, mode = 0o600): string => {
  writeFileSync(at(name), content);
  chmodSync(at(name), mode);
  return at(name);
};

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-config-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const parse = (text: string, env: NodeJS.ProcessEnv = {}): Infer<typeof schema> =>
  parseConfig(text, schema, { file: at('c.json'), env });
/** The code and the sentence (without the directory) of a refused configuration. */
function refusal(work: () => unknown): [code: string, sentence: string] {
  try {
    work();
  } catch (error) {
    if (!(error instanceof OperationalError)) throw error;
    expect(error.retryable).toBe(false);
    expect(error.message).not.toContain('\n');
    return [error.code, error.message.replaceAll(`${directory}/`, '')];
  }
  throw new Error('nothing was refused');
}

describe('a good configuration', () => {
  it('gets its types, units and defaults', () => {
    const value = parse('{"port": 4801, "memory": "1.5GiB", "outage": "5 ms", "rate": "100Mbit/s", "inbox": "in/box"}');
    expectTypeOf(value.rate).toEqualTypeOf<number>();
    expectTypeOf(value.profile).toEqualTypeOf<'robust' | 'fast'>();
    expectTypeOf(value.verbose).toEqualTypeOf<boolean | undefined>();
    expect(value).toEqual({
      port: 4801,
      rate: 1e8,
      memory: 1.5 * 2 ** 30,
      repair: 0.1,
      outage: 5,
      profile: 'robust',
      inbox: at('in/box'),
    });
  });

  it('tells the kinds of a union apart', () => {
    const { store } = parse('{"port": 1, "store": {"kind": "s3", "bucket": "b"}}');
    if (store?.kind !== 's3') throw new Error('wrong kind');
    expectTypeOf(store.bucket).toEqualTypeOf<string>();
    expect(store.bucket).toBe('b');
  });

  it('expands the credentials directory and nothing else', () => {
    const env = { CREDENTIALS_DIRECTORY: '/run/credentials/x' };
    expect(parse('{"port": 1, "inbox": "${CREDENTIALS_DIRECTORY}/a"}', env).inbox).toBe('/run/credentials/x/a');
  });
});

// One broken configuration for each sentence.
const NOT_SO: readonly (readonly [text: string, sentence: string])[] = [
  ['{"port": 1, "rtae": "1Gbit/s"}', 'c.json: rtae is not a known key; did you mean "rate"?'],
  [
    '{"port": 1, "zzz": 1}',
    /* no near key */ 'c.json: zzz is not a known key; remove it or use one of port, rate, memory, repair, outage, profile, verbose, inbox, redis, key, store, names, channels, even.',
  ],
  [
    '{"port": 1, "__proto__": {}}',
    'c.json: __proto__ is not a known key; remove it or use one of port, rate, memory, repair, outage, profile, verbose, inbox, redis, key, store, names, channels, even.',
  ],
  ['{}', 'c.json: port is missing; add it (integer, 1 to 65535).'],
  ['[]', 'c.json: the document must be an object but is an array; write { ... }.'],
  ['{"port": "4801"}', 'c.json: port must be an integer, 1 to 65535, but is "4801".'],
  ['{"port": 1.5}', 'c.json: port must be an integer, 1 to 65535, but is 1.5.'],
  ['{"port": 65536}', 'c.json: port is 65536 but must be an integer, 1 to 65535.'],
  [
    '{"port": 1, "rate": 1000}',
    'c.json: rate must be a rate such as "1Gbit/s", "1Mbit/s" to "100Gbit/s", but is 1000; write a number and one of the units bit/s, kbit/s, Mbit/s, Gbit/s, in quotes.',
  ],
  [
    '{"port": 1, "rate": "1Gb"}',
    'c.json: rate must be a rate such as "1Gbit/s", "1Mbit/s" to "100Gbit/s", but is "1Gb"; write a number and one of the units bit/s, kbit/s, Mbit/s, Gbit/s, in quotes.',
  ],
  [
    '{"port": 1, "rate": "1bit/s"}',
    'c.json: rate is "1bit/s" but must be a rate such as "1Gbit/s", "1Mbit/s" to "100Gbit/s".',
  ],
  [
    '{"port": 1, "memory": "64 toString"}',
    'c.json: memory must be a size such as "64MiB", but is "64 toString"; write a number and one of the units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, in quotes.',
  ],
  ['{"port": 1, "outage": "2s"}', 'c.json: outage is "2s" but must be a duration such as "250ms", "1ms" to "1s".'],
  ['{"port": 1, "repair": 1.5}', 'c.json: repair must be a number, 0 to 1, but is 1.5.'],
  [
    '{"port": 1, "profile": "robus"}',
    'c.json: profile is "robus" but must be one of "robust", "fast"; did you mean "robust"?',
  ],
  ['{"port": 1, "profile": 7}', 'c.json: profile is 7 but must be one of "robust", "fast".'],
  ['{"port": 1, "verbose": "yes"}', 'c.json: verbose must be true or false (without quotes) but is "yes".'],
  ['{"port": 1, "inbox": ""}', 'c.json: inbox must be a path but is ""; write it in double quotes.'],
  [
    '{"port": 1, "inbox": "${HOME}/x"}',
    'c.json: inbox is "${HOME}/x", but the only variable is a leading ${CREDENTIALS_DIRECTORY}/; write the path out.',
  ],
  [
    '{"port": 1, "inbox": "${CREDENTIALS_DIRECTORY}/x"}',
    'c.json: inbox uses ${CREDENTIALS_DIRECTORY}, which is not set; start through systemd with LoadCredential= or write a plain path.',
  ],
  ['{"port": 1, "redis": "http://x"}', 'c.json: redis must be a URL that begins with redis://, but is "http://x".'],
  [
    '{"port": 1, "redis": "redis://u:p@x"}',
    'c.json: redis carries a user name or password; put it into a secret file and name that instead.',
  ],
  ['{"port": 1, "store": {"root": "/x"}}', 'c.json: store.kind is missing; add it (one of "fs", "s3").'],
  ['{"port": 1, "store": {"kind": "nfs"}}', 'c.json: store.kind is "nfs" but must be one of "fs", "s3".'],
  [
    '{"port": 1, "store": {"kind": "fs", "bucket": "b"}}',
    'c.json: store.bucket is not a known key; remove it or use one of root, kind.',
  ],
  [
    '{"port": 1, "store": {"kind": "s3", "bucket": 5}}',
    'c.json: store.bucket must be text but is 5; write it in double quotes.',
  ],
  ['{"port": 1, "store": {"kind": "s3", "bucket": ""}}', 'c.json: store.bucket is empty; write text.'],
  [
    `{"port": 1, "store": {"kind": "s3", "bucket": "${'b'.repeat(64)}"}}`,
    'c.json: store.bucket has 64 characters but may have 63; shorten it.',
  ],
  ['{"port": 1, "names": "a"}', 'c.json: names must be an array but is "a"; write [ ... ].'],
  ['{"port": 1, "names": []}', 'c.json: names has 0 items but needs at least 1; add what is missing.'],
  ['{"port": 1, "names": ["a", "b", "c"]}', 'c.json: names has 3 items but may have at most 2; remove some.'],
  ['{"port": 1, "names": ["a", "B"]}', 'c.json: names[1] is "B" but must be lower-case letters.'],
  [
    '{"port": 1, "channels": {"Prod": {"asid": 1}}}',
    'c.json: channels has the name "Prod"; a name here is 1 to 8 lower-case letters.',
  ],
  [
    '{"port": 1, "channels": {"prod": {"asid": 16}}}',
    'c.json: channels.prod.asid is 16 but must be an integer, 0 to 15.',
  ],
  ['{"port": 1, "even": 3}', 'c.json: even must be even; add one.'],
];

describe('a broken configuration', () => {
  it.each(NOT_SO)('is refused in one sentence: %s', (text, sentence) => {
    expect(refusal(() => parse(text))).toEqual(['config-invalid', sentence]);
  });

  it.each([
    ['{"port": 1, "port": 2}', 'port'],
    ['{"port": 1, "store": {"kind": "fs", "root": "{\\"", "root": "/b"}}', 'store.root'],
    ['{"names": ["a", {"x": 1, "\\u0078": 2}]}', 'names[1].x'],
  ])('names a key that is there twice: %s', (text, key) => {
    expect(refusal(() => parse(text))).toEqual([
      'config-malformed',
      `c.json: ${key} is there twice; remove one of the two.`,
    ]);
  });

  it('names the place that is not JSON', () => {
    const [code, sentence] = refusal(() => parse('{"port": 1,}'));
    expect(code).toBe('config-malformed');
    expect(sentence).toMatch(/^c\.json: this is not JSON: .*position 11.*; mend that place\.$/);
  });

  it.each([
    [
      'nothing.json',
      () => undefined,
      'there is no such file; create it (deploy/ has examples) or name another with --config.',
    ],
    [
      'dir.json',
      () => {
        mkdirSync(at('dir.json'));
      },
      'this is a directory; name the file in it with --config.',
    ],
    [
      'latin1.json',
      () => write('latin1.json', new Uint8Array([0x22, 0xe4, 0x22])),
      'this is not UTF-8 text; save it as UTF-8.',
    ],
    [
      'big.json',
      () => write('big.json', new Uint8Array(CONFIG_BYTES_MAX + 1)),
      'larger than a configuration can be; name the right file.',
    ],
  ])('names a file that cannot be read: %s', (name, prepare, sentence) => {
    prepare();
    expect(refusal(() => loadConfig(at(name), schema))).toEqual(['config-unreadable', `${name}: ${sentence}`]);
  });
});

describe('a secret', () => {
  const load = (name: string, env: NodeJS.ProcessEnv = {}): ReturnType<typeof parse> =>
    parse(`{"port": 1, "key": ${JSON.stringify(name)}}`, env);

  it('is read from its file, and never printed', () => {
    write('key', 'hunter2\n');
    const { key } = load('key');
    expect(key?.text()).toBe('hunter2');
    expect(key?.bytes()).toEqual(new TextEncoder().encode('hunter2\n'));
    expect(`${String(key)} ${JSON.stringify({ key })} ${inspect({ key })}`).not.toContain('hunter2');
  });

  it.each([
    [
      'exposed',
      () => write('exposed', 'x', 0o644),
      'names exposed, which every user may open (mode 0644); run: chmod o= exposed',
    ],
    [
      'writable',
      () => write('writable', 'x', 0o602),
      'names writable, which every user may open (mode 0602); run: chmod o= writable',
    ],
    [
      'absent',
      () => undefined,
      'names the secret file absent, which cannot be read (ENOENT); create it or mend its owner.',
    ],
    ['empty', () => write('empty', ''), 'names empty, which is empty; put the secret into it.'],
    [
      'large',
      () => write('large', new Uint8Array(SECRET_BYTES_MAX + 1)),
      'names large, which is too large for a secret; name the right file.',
    ],
    [
      'folder',
      () => {
        mkdirSync(at('folder'));
      },
      'names folder, which is not a regular file; name the file that holds the secret.',
    ],
  ])('is refused in one sentence when its file is %s', (name, prepare, sentence) => {
    prepare();
    expect(refusal(() => load(name))).toEqual(['secret-file', `c.json: key ${sentence}`]);
  });

  it('may be readable where systemd guards the directory, and only there', () => {
    mkdirSync(at('credentials'));
    write('credentials/key', 'x', 0o444);
    write('outside', 'x', 0o444);
    const env = { CREDENTIALS_DIRECTORY: at('credentials') };
    expect(load('${CREDENTIALS_DIRECTORY}/key', env).key?.text()).toBe('x');
    expect(refusal(() => load(`${at('credentials')}/../outside`, env))[0]).toBe('secret-file');
    expect(refusal(() => load('${CREDENTIALS_DIRECTORY}/../outside', env))[1]).toBe(
      'c.json: key leaves ${CREDENTIALS_DIRECTORY} by ".."; remove that.',
    );
  });
});

describe('the digest of a configuration', () => {
  it('depends on values, not on key order or secret content', () => {
    write('key1', 'one');
    const one = digestOfConfig({ a: 1, b: { c: [1, 2], key: parse('{"port": 1, "key": "key1"}').key } });
    write('key1', 'two');
    const two = digestOfConfig({ b: { key: parse('{"port": 1, "key": "key1"}').key, c: [1, 2] }, a: 1 });
    expect(two).toBe(one);
    expect(one).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(digestOfConfig({ a: 1 })).not.toBe(digestOfConfig({ a: 2 }));
  });
});

it('a default that its own schema refuses cannot even be written', () => {
  expect(() => withDefault(duration('how long'), '10m')).toThrow('a default: how long must be a duration');
});

describe('the reference', () => {
  it('has one row for each key', () => {
    const table = describeConfig(schema);
    expect(table).toContain('| `port` | integer, 1 to 65535 | required | UDP port |\n');
    expect(table).toContain('| `memory` | size such as "64MiB" | `"64MiB"` | memory |\n');
    expect(table).toContain('| `store.kind` | one of "fs", "s3" | required |');
    expect(table).toContain('| `store.bucket` | text | required | (kind "s3") bucket |\n');
    expect(table).toContain('| `channels.NAME.asid` | integer, 0 to 15 | required | ASID |\n');
  });
});
