import { describe, expect, it } from 'vitest';
import { parseHeartbeat } from '../src/heartbeat.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const FIELDS = { seconds: 1_700_000_000, state: 'idle', sequence: 12, head: DIGEST, config: DIGEST };
const GOOD = { v: 1, ...FIELDS };
const parse = (over: Record<string, unknown> = {}) => parseHeartbeat(JSON.stringify({ ...GOOD, ...over }));

describe('a heartbeat', () => {
  it('is read as the sender writes it', () => {
    expect(parse()).toEqual({ ...FIELDS, faults: [] });
    expect(parse({ state: 'sending', sequence: 0, head: null })).toEqual({
      ...FIELDS,
      faults: [],
      state: 'sending',
      sequence: 0,
      head: null,
    });
  });

  it('keeps nothing but numbers, enums and digests of what else is in it', () => {
    const heartbeat = parse({
      note: '<script>',
      toString: 'x',
      constructor: { evil: 1 },
      __proto__: { state: 'idle' },
    });
    expect(Object.keys(heartbeat ?? {}).sort()).toEqual(['config', 'faults', 'head', 'seconds', 'sequence', 'state']);
  });

  it('says what is wrong with the sender, as far as this version knows', () => {
    expect(parse({ state: 'degraded', faults: 5 })?.faults).toEqual(['send-refused', 'disk-low']);
    expect(parse({ state: 'degraded', faults: 2 ** 40 + 2 })?.faults).toEqual(['pass-failed']);
  });

  it.each([
    ['another version', { v: 2 }],
    ['a version in words', { v: '1' }],
    ['time as text', { seconds: '1700000000' }],
    ['time before 1970', { seconds: -1 }],
    ['a fraction', { seconds: 1.5 }],
    ['a number beyond counting', { sequence: 2 ** 53 }],
    ['a sequence below 0', { sequence: -1 }],
    ['no sequence', { sequence: null }],
    ['a state that does not exist', { state: 'constructor' }],
    ['states in a list', { state: ['idle'] }],
    ['faults in words', { faults: 'disk-low' }],
    ['no head', { head: undefined }],
    ['a head of another algorithm', { head: `sha512:${'a'.repeat(128)}` }],
    ['a head that is too long', { head: `${DIGEST}0` }],
    ['a head with a line feed', { head: `${DIGEST}\n` }],
    ['a configuration that is no digest', { config: '../../etc/passwd' }],
    ['no configuration', { config: null }],
  ])('with %s is none', (_, over) => {
    expect(parse(over)).toBeUndefined();
  });

  it('what is no JSON object is none, however it is made', () => {
    for (const body of [
      '',
      'null',
      '1',
      '"idle"',
      '[]',
      '[1]',
      '{',
      '{}',
      '\0',
      'NaN',
      '['.repeat(100_000),
      '{"v":1',
    ]) {
      expect(parseHeartbeat(body)).toBeUndefined();
    }
  });
});
