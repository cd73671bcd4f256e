import { describe, expect, it } from 'vitest';
import { parseIperf } from './peers.ts';

/** As iperf3 3.12 prints it, shortened. */
const REPORT = {
  end: {
    sum: { bits_per_second: 2635403479.5, lost_percent: 2.92, sender: true },
    sum_sent: { bits_per_second: 2635403479.5, sender: true },
    sum_received: { bits_per_second: 2558021096.8, lost_packets: 6881, packets: 235310, sender: false },
  },
};

describe("iperf3's report", () => {
  it('gives what the receiver saw, not what was sent', () => {
    expect(parseIperf(JSON.stringify(REPORT))).toBeCloseTo(2558.02, 2);
  });

  it('without a received rate is an error', () => {
    expect(() => parseIperf(JSON.stringify({ end: { sum_sent: { bits_per_second: 1e9 } } }))).toThrow(
      'no rate received',
    );
    expect(() => parseIperf(JSON.stringify({ end: { sum_received: { bits_per_second: 0 } } }))).toThrow(
      'no rate received',
    );
  });

  it('of a failure says which', () => {
    expect(() => parseIperf(JSON.stringify({ ...REPORT, error: 'unable to connect' }))).toThrow('unable to connect');
  });
});
