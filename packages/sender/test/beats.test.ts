import { generateKeyPairSync } from 'node:crypto';
import { SenderLedger } from '@sluice/ledger';
import { loadSigner } from '@sluice/trust';
import { expect, it } from 'vitest';
import { Beats } from '../src/beats.ts';
import { faultsOf, type Telemetry } from '../src/observe.ts';
import type { SenderConfig } from '../src/config.ts';
import type { ToTransmit } from '../src/transmit/messages.ts';
import { digestOf } from './inputs.ts';

const CONFIG = digestOf(Buffer.from('config'));
const MINUTE = 60_000;

/** A heartbeat as it leaves, for a sender in this state. */
function beat(state: 'idle' | 'sending', faults: Parameters<Beats['beat']>[1]): unknown {
  const posted: ToTransmit[] = [];
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  const ledger = new SenderLedger(':memory:');
  const channels = [{ name: 'prod', asid: 0, signer: loadSigner(pem) }];
  new Beats({ ledger, channels, configDigest: CONFIG, now: () => 7, post: (message) => posted.push(message) }).beat(
    state,
    faults,
  );
  ledger.close();
  const [message] = posted;
  if (message?.type !== 'heartbeat') throw new Error('no heartbeat');
  // It must fit into the shortest symbol.
  expect(message.body.length).toBeLessThanOrEqual(256);
  return JSON.parse(Buffer.from(message.body).toString('utf8'));
}

it('a heartbeat of a sender that is well has no faults in it, and its state is what it does', () => {
  expect(beat('sending', [])).toEqual({
    ...{ v: 1, seconds: 7, state: 'sending', sequence: 0, head: null, config: CONFIG },
  });
});

it('one of a sender that is not says degraded, and what is wrong', () => {
  expect(beat('sending', ['send-refused', 'disk-low'])).toMatchObject({ state: 'degraded', faults: 5 });
});

it('what is wrong is seen: refused sends, failed passes, room, age of the queue', () => {
  const config = (diskFree: number, stateDirectory = '/') =>
    ({ stateDirectory, health: { diskFree, queueAge: MINUTE } }) as unknown as SenderConfig;
  const telemetry = (refusal?: string, failedPasses = 0) =>
    ({ status: { refusal }, failedPasses }) as unknown as Telemetry;
  const since = (age: number | undefined) =>
    ({ waitingSince: () => (age === undefined ? undefined : Date.now() - age) }) as unknown as SenderLedger;
  const faults = faultsOf;
  expect(faults({ config: config(1), ledger: since(undefined), telemetry: telemetry() })).toEqual([]);
  expect(faults({ config: config(1), ledger: since(MINUTE / 2), telemetry: telemetry() })).toEqual([]);
  expect(faults({ config: config(2 ** 62), ledger: since(2 * MINUTE), telemetry: telemetry('no route', 1) })).toEqual([
    ...['send-refused', 'pass-failed', 'disk-low', 'queue-old'],
  ]);
  expect(faults({ config: config(1, '/nowhere'), ledger: since(undefined), telemetry: telemetry() })).toEqual([
    'disk-low',
  ]);
});
