import { describe, expect, it } from 'vitest';
import { countCalls } from './sluice.ts';
import { type LinkStatus, type SenderStatus, stagesBetween } from './stages.ts';

describe('a trace of strace', () => {
  const trace = [
    '101 1000.000100 fsync(20)                       = 0',
    '102 1001.500000 fdatasync(21 <unfinished ...>',
    '101 1001.600000 fsync(22)                       = 0',
    '102 1001.700000 <... fdatasync resumed>)        = 0',
    '101 1003.000000 fsync(23)                       = 0',
    '101 1003.100000 +++ exited with 0 +++',
  ].join('\n');

  it('counts the calls that began in the time that is measured, an interrupted one once', () => {
    expect(countCalls(trace, 1001, 1002)).toBe(2);
    expect(countCalls(trace, 999, 1004)).toBe(4);
    expect(countCalls(trace, 1004, 1005)).toBe(0);
  });
});

describe('stages', () => {
  const sender = (datagrams: number, stageNs?: Record<string, number>): SenderStatus => ({
    transmit: { counters: { datagrams }, ...(stageNs === undefined ? {} : { stageNs }) },
  });
  const link = (accepted: number, replayed: number, stageNs?: Record<string, number>): LinkStatus => ({
    verdicts: { accepted, replayed },
    ...(stageNs === undefined ? {} : { stageNs }),
  });

  it('are what each stop took between two readings, for each datagram that passed the side', () => {
    const before = { sender: sender(100, { '4 protect': 1000 }), link: link(80, 0, { '9 admit': 500 }) };
    const after = {
      sender: sender(300, { '4 protect': 41_000, '7 depart': 2000 }),
      link: link(120, 10, { '9 admit': 5500 }),
    };
    expect(stagesBetween(before, after)).toEqual([
      { side: 'sender', stop: '4 protect', nsPerDatagram: 200 },
      { side: 'sender', stop: '7 depart', nsPerDatagram: 10 },
      { side: 'link', stop: '9 admit', nsPerDatagram: 100 },
    ]);
  });

  it('are none when the daemons do not time their stops', () => {
    expect(stagesBetween({ sender: sender(1), link: link(1, 0) }, { sender: sender(9), link: link(9, 0) })).toEqual([]);
  });
});
