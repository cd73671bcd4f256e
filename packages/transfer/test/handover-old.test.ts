import { createCodec } from '@sluice/fec';
import { DEFAULT_LIMITS, ReceiveMachine } from '@sluice/transfer';
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { MemorySpool } from '../../testkit/src/index.ts';

it.each([
  ['of the same session', 1000],
  ['of an earlier session', 900],
])('a handover %s that came back with the power does not open what the session file has closed', (_what, tsi) => {
  const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
  const parts = { keys: [], codec: createCodec(), sha256, spool: new MemorySpool(), onEvent: () => undefined };
  const machine = new ReceiveMachine(parts, DEFAULT_LIMITS, 1000, { tsi: 1000, sn: 10_000 });
  machine.takeOver({ type: 'seen', tsi, sn: 500 });
  expect([...machine.handover()]).toEqual([{ type: 'seen', tsi: 1000, sn: 10_000 }]);
});
