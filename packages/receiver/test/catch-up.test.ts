import { join } from 'node:path';
import { createJsonLogger } from '@sluice/base';
import { ReceiverLedger } from '@sluice/ledger';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type AdminParts, adminRoutes } from '../src/admin.ts';
import { CatchUp } from '../src/catch-up.ts';
import { digestOf } from './bundles.ts';
import { scratch } from './receiver.ts';

const logger = createJsonLogger('test', { write: () => undefined });
const idOf = (channel: string, sequence: number) => digestOf(Buffer.from(`${channel} ${sequence}`));

/** A ledger that was restored with two published bundles of a channel, and one of another that it does not wait for. */
function restored() {
  const ledger = new ReceiverLedger(join(scratch(), 'ledger.sqlite'));
  onTestFinished(() => {
    ledger.close();
  });
  const come = (channel: string, sequence: number): void => {
    const release = digestOf(Buffer.from(`release ${channel} ${sequence}`));
    ledger.received({ id: idOf(channel, sequence), channel, sequence, release, bytes: 1 });
  };
  const publish = (channel: string, sequence: number): void => {
    ledger.publish(idOf(channel, sequence), 'b', [], {});
  };
  for (const [channel, sequence] of [
    ['prod', 1],
    ['prod', 2],
    ['lab', 1],
  ] as const) {
    come(channel, sequence);
    publish(channel, sequence);
  }
  ledger.keeping.restored(['prod'], {});
  const heard = new Set<string>();
  const catchUp = new CatchUp({ ledger, logger, heard: (channel) => heard.has(channel) });
  const due = (): string[] =>
    catchUp.due(ledger.outbox()).map(({ bundle }) => {
      const { channel, sequence } = ledger.bundle(bundle)!;
      return `${channel}/${sequence}`;
    });
  const imported = (channel: string, sequence: number): void => {
    ledger.recordReceipt(idOf(channel, sequence), 'imported', '', Buffer.from('receipt'));
  };
  return { ledger, heard, come, publish, due, imported };
}

describe('imports of a channel, after the ledger was restored', () => {
  it('wait until the sender was heard, nothing is missing, and nothing is coming in; others go on', () => {
    const { ledger, heard, come, publish, due } = restored();
    expect(due()).toEqual(['lab/1']);
    heard.add('prod');
    ledger.announce('prod', 3, null, 1);
    expect(due()).toEqual(['lab/1']);
    come('prod', 3);
    expect(due()).toEqual(['lab/1']);
    publish('prod', 3);
    expect(due()).toEqual(['lab/1', 'prod/3']);
  });

  it('are of the latest first, one after the other, and then as ever', () => {
    const { ledger, heard, come, publish, due, imported } = restored();
    heard.add('prod');
    imported('lab', 1);
    for (const sequence of [2, 1]) {
      expect(due()).toEqual([`prod/${sequence}`]);
      imported('prod', sequence);
    }
    expect(due()).toEqual([]);
    expect(ledger.keeping.behind()).toEqual([]);
    for (const sequence of [3, 4]) {
      come('prod', sequence);
      publish('prod', sequence);
    }
    expect(due()).toEqual(['prod/3', 'prod/4']);
  });

  it('go on when a person says that no more comes, and not of another channel', async () => {
    const { ledger, due } = restored();
    const outbox = { reconcile: vi.fn() };
    const routes = adminRoutes({ ledger, logger, outbox } as unknown as AdminParts);
    const said = routes['/v1/caught-up']!;
    const asker = { uid: 1000, reason: 'the sender is gone' };
    for (const channel of ['lab', 'nowhere', 7, undefined])
      expect(await said.answer({ channel }, asker)).toMatchObject({ ok: false, error: { code: 'not-restored' } });
    expect(due()).toEqual(['lab/1']);
    expect(said.reason).toBe('needed');
    expect(await said.answer({ channel: 'prod' }, asker)).toEqual({ ok: true, value: { channel: 'prod' } });
    expect(outbox.reconcile).toHaveBeenCalledOnce();
    expect(due()).toEqual(['prod/1', 'prod/2', 'lab/1']);
    expect(ledger.events.about('prod')).toMatchObject([{ kind: 'caught-up', body: { action: 'caught-up', ...asker } }]);
    expect(await said.answer({ channel: 'prod' }, asker)).toMatchObject({ ok: false });
  });
});
