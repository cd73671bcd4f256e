// The numbers of one session (docs/PROTOCOL.md S-2, A-5): nothing is handed out twice, and a session rolls before they wear out.
import { HEADER_BYTES, readSn, TAG_OFFSET } from '@sluice/alc';
import { describe, expect, it } from 'vitest';
import { testKeys } from '../../testkit/src/index.ts';
import { SendSession } from '../src/send/session.ts';

const KEYS = testKeys(['prod', 'lab']);
const START = { toi: 0, fdtId: 0, sn: 0 };
const at = (numbers: Partial<typeof START>): SendSession => new SendSession(7, KEYS, { ...START, ...numbers });
const datagram = (): Uint8Array => new Uint8Array(HEADER_BYTES + 64);

describe('a session', () => {
  it('counts TOIs, FDT Instance IDs and sequence numbers from 1', () => {
    const session = new SendSession(7, KEYS);
    expect([session.nextToi(), session.nextToi(), session.nextToi()]).toEqual([1, 2, 3]);
    expect([session.nextFdtId(), session.nextFdtId()]).toEqual([1, 2]);
    const bytes = datagram();
    for (const sn of [1, 2, 3]) {
      session.seal(bytes, bytes.length, sn % 2);
      expect(readSn(bytes, 0)).toBe(sn);
      expect(KEYS[sn % 2]!.session(7).verify(bytes, TAG_OFFSET)).toBe(true);
    }
    expect(session.sent).toBe(3);
  });

  it.each([
    ['TOI', { toi: 0.75 * 2 ** 32 - 1 }, (session: SendSession) => session.nextToi()],
    ['FDT Instance ID', { fdtId: 0.75 * 2 ** 20 - 1 }, (session: SendSession) => session.nextFdtId()],
    ['SN', { sn: 0.75 * 2 ** 40 - 1 }, (session: SendSession) => session.seal(datagram(), 108, 0)],
  ])('is worn when %s reaches three quarters of its range', (_name, numbers, use) => {
    const session = at(numbers);
    expect(session.worn).toBe(false);
    use(session);
    expect(session.worn).toBe(true);
  });

  it.each([
    ['TOI', { toi: 2 ** 32 - 2 }, (session: SendSession) => session.nextToi(), 2 ** 32 - 1],
    ['FDT Instance ID', { fdtId: 2 ** 20 - 2 }, (session: SendSession) => session.nextFdtId(), 2 ** 20 - 1],
    [
      'SN',
      { sn: 2 ** 40 - 2 },
      (session: SendSession) => (session.seal(datagram(), 108, 0), session.sent),
      2 ** 40 - 1,
    ],
  ])('gives the last %s there is, and fails rather than wrap', (name, numbers, use, last) => {
    const session = at(numbers);
    expect(use(session)).toBe(last);
    expect(() => use(session)).toThrow(`${name} range used up: the session was not rolled`);
    expect(() => use(session)).toThrow(/used up/);
  });

  it('has no tag for a channel without a key', () => {
    expect(() => {
      new SendSession(7, KEYS).seal(datagram(), 108, 5);
    }).toThrow(/no link key for ASID 5/);
  });
});
