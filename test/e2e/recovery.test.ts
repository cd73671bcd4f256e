import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { until } from '../world/processes.ts';
import { World, type WorldOptions } from '../world/world.ts';

interface Status {
  readonly channels: readonly {
    readonly missing: readonly number[];
    readonly missingBundles: readonly { readonly sequence: number; readonly name?: string; readonly bundle?: string }[];
  }[];
}

/** A pair without Redis and registries: what it publishes stays in the outbox. */
async function pair(options: Omit<WorldOptions, 'dir'> = {}): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-recovery-'));
  const world = await World.create({ dir, ...options });
  onTestFinished(async () => {
    await world.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return world;
}

/** A file of random bytes, submitted as a bundle of its own. */
function submitFile(world: World, name: string, bytes: number): { readonly sequence: number; readonly bundle: string } {
  const path = join(world.dir, 'input', name);
  writeFileSync(path, randomBytes(bytes));
  return world.submit(world.release(name, [path]), [path]);
}

const passesLeft = (world: World, passes: number): Promise<unknown> =>
  until('all passes to have left', 60_000, async () => {
    const page = await world.get<{ items: { passesDone: number }[] }>('sender', '/v1/bundles');
    return page?.items.every(({ passesDone }) => passesDone === passes) === true ? true : undefined;
  });

describe('a bundle of which not one datagram arrived', () => {
  it('is named as missing by the first heartbeat, then with its name from the signed history', async () => {
    const world = await pair({
      tune: ({ sender }) => {
        sender.carousel = { passes: 1, gap: '1h' };
      },
    });
    await world.start('sender');
    const { bundle } = submitFile(world, 'lost.bin', 300_000);
    await passesLeft(world, 1);
    const receiver = await world.start('receiver');
    const [, beat = ''] = await receiver.line(/"sequence":1,"msg":"(a bundle is missing[^"]*)"/);
    expect(beat).toContain('its statement has not come');
    const status = async () => (await world.get<Status>('receiver', '/v1/status'))?.channels[0];
    const named = await until('the missing bundle to have its name', 30_000, async () => {
      const { missing, missingBundles } = (await status()) ?? { missing: [], missingBundles: [] };
      return missingBundles[0]?.name === undefined ? undefined : { missing, first: missingBundles[0] };
    });
    expect(named).toEqual({ missing: [1], first: { sequence: 1, bundle, name: 'lost.bin', bytes: 300_000 } });
    const health = await world.get<{ checks: Record<string, [{ status: string; output: string }]> }>(
      'receiver',
      '/healthz',
    );
    expect(health?.checks['bundles:missing-prod']?.[0]).toMatchObject({ status: 'warn' });
    expect(health?.checks['bundles:missing-prod']?.[0].output).toContain('1 (lost.bin)');
    await receiver.line(/"release":"lost.bin","bytes":300000,"msg":"the missing bundle has a name"/);
  });
});
