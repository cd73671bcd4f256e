import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../harbor/needs.ts';
import { until } from '../world/processes.ts';
import { MAIN, NODE, World } from '../world/world.ts';

const absent = missing('redis-server');
const DEADLINE_MS = 90_000;

interface Report {
  readonly checks: Readonly<Record<string, readonly [{ readonly status: string; readonly output?: string }]>>;
}

describe.skipIf(absent !== undefined)('a pair of which one side is restored from a backup', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-restore-'));
  let world: World;

  beforeAll(async () => {
    world = await World.create({
      dir,
      tune: (configs) => {
        configs.sender.carousel = { passes: 100, gap: '1s' };
        const tickets = {
          keyFile: join(dir, 'keys/ticket.key.pem'),
          spoolDirectory: join(dir, 'spool'),
          controlSocket: join(dir, 'sockets/receiver.sock'),
        };
        Object.assign(configs.receiver, { tickets });
      },
    });
    world.sluice('keys', 'generate', '--out', join(dir, 'keys/ticket'));
    world.startRedis();
    await world.program('redis').line(/Ready to accept connections/);
    await world.startDaemons();
  });
  afterAll(async () => {
    await world.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const config = (daemon: string): string => join(dir, `${daemon}.json`);

  function sluice(...args: string[]): { readonly status: number | null; readonly text: string } {
    const { status, stdout, stderr } = spawnSync(NODE, [MAIN, ...args], { encoding: 'utf8' });
    return { status, text: stdout + stderr };
  }

  /** A bundle with a file of this name and text; its number. */
  async function send(name: string, text: string, states = ['imported']): Promise<number> {
    mkdirSync(join(dir, 'input', name), { recursive: true });
    const file = join(dir, 'input', name, 'motd.txt');
    writeFileSync(file, text);
    const { sequence } = world.submit(world.release(name, [file]), [file]);
    await world.bundle(sequence, states, DEADLINE_MS);
    return sequence;
  }

  const delivered = (): string => readFileSync(join(dir, 'files/motd.txt'), 'utf8');

  /** What a check says once it does not pass. */
  const trouble = (daemon: 'sender' | 'receiver', check: string): Promise<string> =>
    until(`${daemon} ${check} to speak`, DEADLINE_MS, async () => {
      const found = (await world.get<Report>(daemon, '/healthz'))?.checks[check]?.[0];
      return found !== undefined && found.status !== 'pass' ? found.output : undefined;
    });

  it('the sender gives no number and no session twice: it waits for one stated command', async () => {
    expect(await send('one', 'first')).toBe(1);
    expect(sluice('backup', 'sender', '--config', config('sender'), join(dir, 'backup-sender')).status).toBe(0);
    expect(await send('two', 'second')).toBe(2);
    const status = () => world.get<{ link: { session: number } }>('receiver', '/v1/status');
    const session = (await status())?.link.session ?? 0;

    await world.program('sender').stop();
    renameSync(join(dir, 'sender'), join(dir, 'sender-lost'));
    const restored = sluice('restore', 'sender', '--config', config('sender'), join(dir, 'backup-sender'));
    expect([restored.status, restored.text]).toEqual([0, expect.stringContaining('sluice restored CHANNEL')]);
    expect(sluice('restore', 'sender', '--config', config('sender'), join(dir, 'backup-sender'))).toMatchObject({
      status: 1,
      text: expect.stringContaining('restore-refused') as string,
    });
    // What is staged is no part of a backup.
    cpSync(join(dir, 'sender-lost/store'), join(dir, 'sender/store'), { recursive: true });
    await world.start('sender');
    expect(await trouble('sender', 'ledger:restored')).toContain('prod');
    const said = await trouble('receiver', 'sender:numbers-prod');
    const command = /sluice (restored prod 2 sha256:[0-9a-f]{64})/.exec(said)?.[1]?.split(' ') ?? [];
    expect(command).toHaveLength(4);
    const [name = '', ...rest] = command;
    expect(sluice(name, '--socket', join(dir, 'sockets/sender.sock'), ...rest).text).toContain('gets number 3');
    expect(await send('three', 'third')).toBe(3);
    expect((await status())?.link.session).toBeGreaterThan(session);
    expect((await world.bundles()).map(({ state }) => state)).toEqual(['imported', 'imported', 'imported']);
  });

  it('the receiver rolls nothing back: all comes again, and the latest is imported first', async () => {
    const backup = join(dir, 'backup-receiver');
    expect(sluice('backup', 'receiver', '--config', config('receiver'), backup).status).toBe(0);
    const known = await send('four', 'fourth');
    await send('five', 'fifth');
    for (const daemon of ['importer', 'receiver']) await world.program(daemon).stop();
    for (const lost of ['receiver', 'importer', 'link']) renameSync(join(dir, lost), join(dir, `${lost}-lost`));
    const redis = new Redis(world.configs.receiver.redis.url);
    await redis.flushall();
    redis.disconnect();
    expect(sluice('restore', 'receiver', '--config', config('receiver'), backup).status).toBe(0);
    expect(readFileSync(join(dir, 'link/highest-live-tsi'), 'utf8')).toMatch(/^\d+\n$/);
    await world.start('importer');
    await world.start('receiver');
    expect(await trouble('receiver', 'ledger:restored')).toContain('prod');
    await until('both to be imported again', DEADLINE_MS, async () => {
      expect(delivered()).toBe('fifth');
      const bundles = (await world.bundles()).filter(({ sequence }) => sequence >= known);
      return bundles.length === 2 && bundles.every(({ state }) => state === 'imported') ? true : undefined;
    });
    expect(delivered()).toBe('fifth');
    await until('the channel to be where it was', DEADLINE_MS, async () => {
      const report = await world.get<Report>('receiver', '/healthz');
      return report?.checks['ledger:restored']?.[0].status === 'pass' ? true : undefined;
    });
    for (const side of ['sender', 'receiver', 'importer'])
      expect(sluice('ledger', 'verify', side, '--config', config(side)), side).toMatchObject({ status: 0 });
    expect(sluice('ledger', 'verify', 'receiver', '--config', config('receiver'), '--deep')).toMatchObject({
      status: 0,
    });
  });
});
