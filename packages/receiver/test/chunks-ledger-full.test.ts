import { DatabaseSync } from 'node:sqlite';
import { createJsonLogger } from '@sluice/base';
import type { ClosedLog } from '@sluice/bundle';
import { ReceiverLedger } from '@sluice/ledger';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { entered } from '../src/chunks/entered.ts';

it('a ledger that is full while a chunk log is closed ends nothing, and has it once there is room', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-full-'));
  const path = join(dir, 'ledger.sqlite');
  new ReceiverLedger(path).close();
  const database = new DatabaseSync(path);
  const ledger = new ReceiverLedger(database);
  onTestFinished(() => {
    ledger.close();
    rmSync(dir, { recursive: true });
  });
  const pages = Number(database.prepare('PRAGMA page_count').get()?.page_count);
  const enter = entered(ledger, createJsonLogger('test', { write: () => undefined }));
  const record = (n: number): ClosedLog => ({
    ...{ action: 'closed', number: n, name: `chunks-${n}`, digest: `sha256:${'1'.repeat(64)}`, bytes: 1 },
    ...{ plain: { digest: `sha256:${'2'.repeat(64)}`, bytes: 1 }, from: 0, to: 0, datagrams: 1 },
    ...{ droppedByLog: 0, droppedByKernel: 0, under: { long: 'x'.repeat(8000) } },
  });
  database.exec(`PRAGMA max_page_count = ${String(pages)}`);
  expect(() => ledger.archive.logClosed('direct', { long: 'x'.repeat(8000) })).toThrow(
    expect.objectContaining({ code: 'ledger-full' }) as Error,
  );
  enter(record(1), null);
  database.exec('PRAGMA max_page_count = 1000000');
  enter(record(2), null);
  expect(ledger.archive.logs().map(({ name }) => name)).toEqual(['chunks-1', 'chunks-2']);
});
