import { describe, expect, it } from 'vitest';
import { arrange } from '../src/replay-files.ts';

const log = (number: number, time = '20261124T081500Z', directory = 'chunks'): string =>
  `${directory}/chunks-${time}-${String(number).padStart(6, '0')}.pcapng`;

describe('arrange', () => {
  it('orders chunk logs by number, also where the clock went back and where the number has grown a digit', () => {
    const [first, second] = [log(999_999, '20261124T081500Z'), log(1_000_000, '19700101T000000Z')];
    expect(arrange([second, first])).toEqual({ files: [first, second], gaps: [], first: 999_999 });
  });

  it('says which chunk logs are missing', () => {
    const { files, gaps } = arrange([log(9), log(2), log(4)]);
    expect(files).toEqual([log(2), log(4), log(9)]);
    expect(gaps).toEqual([
      'chunk log 3 is missing between chunks-20261124T081500Z-000002.pcapng and chunks-20261124T081500Z-000004.pcapng',
      'chunk logs 5 to 8 are missing between chunks-20261124T081500Z-000004.pcapng and chunks-20261124T081500Z-000009.pcapng',
    ]);
  });

  it('keeps directories apart, each with numbers of its own', () => {
    const paths = [log(2, '20261124T081500Z', 'b'), log(7, '20261124T081500Z', 'a'), log(1, '20261124T081500Z', 'b')];
    expect(arrange(paths)).toEqual({ files: [paths[1], paths[2], paths[0]], gaps: [], first: 7 });
  });

  it('leaves other captures in the order given', () => {
    const paths = ['z.pcap', log(2), 'a.pcapng', log(1)];
    expect(arrange(paths)).toEqual({ files: paths, gaps: [], first: undefined });
  });
});
