import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { getJson, until } from '../world/processes.ts';
import { MAIN, NODE, World } from '../world/world.ts';

describe('submit', () => {
  let dir = '';
  let world: World;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'sluice-submit-'));
    world = await World.create({
      dir,
      tune: ({ sender }) => {
        // A pass of the first file takes nine seconds.
        sender.link = { ...sender.link, rate: '1Mbit/s' };
        Object.assign(sender, { limits: { queuedBundles: 1 } });
      },
    });
    await world.start('sender');
  });
  afterAll(async () => {
    await world.stop();
    rmSync(dir, { recursive: true });
  });

  /** Makes a signed release of one file; gives how to hand it over. */
  const prepare = (name: string, bytes: number) => {
    const file = join(dir, 'input', name);
    writeFileSync(file, randomBytes(bytes));
    const words = [
      '--socket',
      join(dir, 'sockets/sender.sock'),
      '--release',
      world.release(`${name}.release`, [file]),
      file,
    ];
    return (): { readonly status: number | null; readonly answer: unknown } => {
      const { status, stdout } = spawnSync(NODE, [MAIN, 'submit', ...words], { encoding: 'utf8' });
      return { status, answer: JSON.parse(stdout) as unknown };
    };
  };
  const sequences = async (): Promise<readonly number[]> =>
    (await getJson<{ items: { sequence: number }[] }>(world.url('sender', '/v1/bundles')))?.items.map(
      ({ sequence }) => sequence,
    ) ?? [];

  it('answers that a bundle beyond the limit waits, and seals it when one has left', async () => {
    const [first, second] = [prepare('first', 1_000_000), prepare('second', 1000)];
    expect(first()).toMatchObject({ status: 0, answer: { status: 'sealed', sequence: 1 } });
    expect(second()).toEqual({
      status: 1,
      answer: {
        status: 'waiting',
        code: 'queue-full',
        detail: '1 bundles wait for their first pass; this one is taken as soon as one of them has left',
      },
    });
    await until('the second bundle to be sealed', 60_000, async () => (await sequences()).includes(2) || undefined);
  });
});
