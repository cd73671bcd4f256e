import { ReceiverLedger, SenderLedger } from '@sluice/ledger';
import { describe, expect, it } from 'vitest';
import { digest, newPath } from './ledgers.ts';

const entry = (sequence: number) => ({
  sequence,
  bundle: digest(`bundle ${sequence}`),
  name: `release ${sequence}`,
  bytes: sequence * 10,
});
const named = (sequence: number) => ({ ...entry(sequence), name: { text: `release ${sequence}` } });
const received = (ledger: ReceiverLedger, sequence: number): void =>
  ledger.received({
    id: digest(`bundle ${sequence}`),
    channel: 'prod',
    sequence,
    release: digest('release'),
    bytes: 1,
  });

describe('the history that a sender tells', () => {
  it('gives the missing bundles their names, and tells of more than any heartbeat did', () => {
    const ledger = new ReceiverLedger(newPath());
    received(ledger, 2);
    ledger.announce('prod', 3, digest('bundle 3'), 1);
    expect(ledger.missingBundles('prod', 10)).toEqual([{ sequence: 1 }, { sequence: 3 }]);
    ledger.recordHistory('prod', [2, 3, 4].map(entry));
    // Number 1 is older than the list: it stays without a name.
    expect(ledger.missingBundles('prod', 10)).toEqual([{ sequence: 1 }, named(3), named(4)]);
    expect(ledger.missingBundles('lab', 10)).toEqual([]);
    received(ledger, 3);
    expect(ledger.missingBundles('prod', 10)).toEqual([{ sequence: 1 }, named(4)]);
    // What it is called now counts, if the sender says so.
    ledger.recordHistory('prod', [{ ...entry(4), name: 'other' }]);
    expect(ledger.missingBundles('prod', 1)).toEqual([{ sequence: 1 }]);
    expect(ledger.missingBundles('prod', 10)[1]?.name).toEqual({ text: 'other' });
    ledger.close();
  });

  it('is the latest bundles of the channel, newest last', () => {
    const ledger = new SenderLedger(newPath());
    for (const [channel, name] of [
      ['prod', 'a'],
      ['lab', 'x'],
      ['prod', 'b'],
      ['prod', 'c'],
    ] as const) {
      const make = () => ({ id: digest(name), envelope: Buffer.from(name) });
      const release = { release: digest('release'), releaseSize: 1, objects: [], bytes: 7 };
      ledger.sealBundle({ channel, source: name, name, ...release, make });
    }
    expect(ledger.recent('prod', 2)).toEqual([
      { id: digest('b'), sequence: 2, name: { text: 'b' }, bytes: 7 },
      { id: digest('c'), sequence: 3, name: { text: 'c' }, bytes: 7 },
    ]);
    expect(ledger.recent('prod', 9).map(({ name }) => name.text)).toEqual(['a', 'b', 'c']);
    ledger.close();
  });
});

describe('a pass that is cut off', () => {
  it('is known up to where it was, for its own pass and shape alone, until it is over', () => {
    const path = newPath();
    const ledger = new SenderLedger(path);
    const id = digest('a');
    const release = { release: digest('release'), releaseSize: 1, objects: [], bytes: 7 };
    const make = () => ({ id, envelope: Buffer.from('a') });
    ledger.sealBundle({ channel: 'prod', source: 'a', name: 'a', ...release, make });
    ledger.passGoesOn(id, 0, '1408/200', 10);
    ledger.passGoesOn(id, 0, '1408/200', 25);
    ledger.close();
    const again = new SenderLedger(path);
    expect(again.passStopped(id, 0, '1408/200')).toBe(25);
    expect(again.passStopped(id, 1, '1408/200')).toBe(0);
    expect(again.passStopped(id, 0, '1408/64')).toBe(0);
    again.passDone(id, 0, 2);
    expect(again.passStopped(id, 0, '1408/200')).toBe(0);
    again.close();
  });
});
