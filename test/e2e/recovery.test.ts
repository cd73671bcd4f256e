import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort, NODE_RELAY, Program, until } from '../world/processes.ts';
import { MAIN, NODE, World, type WorldOptions } from '../world/world.ts';

const MIB = 2 ** 20;

interface Status {
  readonly link: { readonly numbers: Readonly<Record<string, number>> };
  readonly channels: readonly {
    readonly missing: readonly number[];
    readonly missingBundles: readonly { readonly sequence: number; readonly name?: string; readonly bundle?: string }[];
  }[];
}

/** A pair with tickets, without Redis and registries: what it publishes stays in the outbox. Each bundle has one pass. */
async function pair(options: Omit<WorldOptions, 'dir'> = {}): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-recovery-'));
  const world = await World.create({
    dir,
    ...options,
    tune: (configs) => {
      configs.sender.carousel = { passes: 1, gap: '1h' };
      for (const channel of configs.sender.channels) channel.ticketKeyFiles = [join(dir, 'keys/ticket.pub.pem')];
      const tickets = {
        keyFile: join(dir, 'keys/ticket.key.pem'),
        spoolDirectory: join(dir, 'spool'),
        controlSocket: join(dir, 'sockets/receiver.sock'),
      };
      Object.assign(configs.receiver, { tickets });
      options.tune?.(configs);
    },
  });
  world.sluice('keys', 'generate', '--out', join(dir, 'keys/ticket'));
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
    const world = await pair();
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

/** What a command came to. */
function sluice(...args: string[]): { readonly status: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(NODE, [MAIN, ...args], { encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

const spoolBytes = async (world: World): Promise<number> =>
  (await world.get<Status>('receiver', '/v1/status'))?.link.numbers.spoolBytes ?? 0;

/** Source symbols that have left since the sender started. */
const sourceSymbols = async (world: World): Promise<number> => {
  const status = await world.get<{ transmit?: { counters: { sourceSymbols: number } } }>('sender', '/v1/status');
  return status?.transmit?.counters.sourceSymbols ?? 0;
};

const TICKET_TRIES = 5;

/** Issues a ticket for a bundle, and gives the file that it lies in. */
function ticketFor(world: World, bundle: string): { readonly file: string; readonly shown: string } {
  const file = join(world.dir, 'ticket.txt');
  const socket = join(world.dir, 'sockets/receiver.sock');
  const issue = () => sluice('ticket', '--socket', socket, '--yes', '--qr', '--out', file, bundle);
  let { status, out, err } = issue();
  // What came last may still be on its way to the disk: whoever asks is told to look again.
  for (let tries = 0; err.includes('(ticket-changed)') && tries < TICKET_TRIES; tries += 1)
    ({ status, out, err } = issue());
  expect([status, err]).toEqual([0, expect.stringContaining('This is all that the ticket will say:')]);
  const text = readFileSync(file, 'utf8');
  expect(text.length).toBeLessThanOrEqual(2048);
  // The text, then the picture of it.
  expect(out.startsWith(text)).toBe(true);
  expect(out.length).toBeGreaterThan(text.length + 1000);
  return { file, shown: err };
}

const repair = (world: World, file: string) =>
  sluice('repair', '--socket', join(world.dir, 'sockets/sender.sock'), file);

describe('a bundle of which a part was lost', () => {
  it('is found, ticketed and repaired over a lossy link, and nothing but the holes is sent', async () => {
    const listen = await freePort();
    const linkPort = await freePort();
    const world = await pair({ sendTo: { host: '127.0.0.1', port: listen }, linkPort });
    const loss = ['--loss', '0.01', '--duplicate', '0.01', '--reorder', '0.01'];
    const relayed = [...NODE_RELAY, '--listen', String(listen), '--to', String(linkPort), ...loss];
    const startRelay = async (): Promise<Program> => {
      const relay = new Program('relay', relayed, join(world.dir, 'logs/relay.log'));
      onTestFinished(() => relay.stop());
      await relay.line(/relay ready/);
      return relay;
    };
    const relay = await startRelay();
    await world.start('receiver');
    await world.start('sender');
    const { sequence } = submitFile(world, 'holes.bin', 40 * MIB);
    // The fibre goes dark in the middle of the only pass.
    await until('a part of it in the spool', 60_000, async () => (await spoolBytes(world)) > 4 * MIB || undefined);
    await relay.stop('SIGKILL');
    await passesLeft(world, 1);
    const whole = await sourceSymbols(world);
    await startRelay();

    // Nobody there who could read it: nothing is signed.
    const unread = sluice('ticket', '--socket', join(world.dir, 'sockets/receiver.sock'), 'prod/1');
    expect(unread).toMatchObject({ status: 2, out: '', err: expect.stringContaining('--yes') as string });
    const { file, shown } = ticketFor(world, `prod/${String(sequence)}`);
    expect(shown).toMatch(/of object 2 blocks/);
    // Somebody types it wrong: the line is named before anything is asked of the sender.
    const text = readFileSync(file, 'utf8');
    const wrong = join(world.dir, 'wrong.txt');
    writeFileSync(wrong, text.replace('02 ', '02 9'));
    expect(repair(world, wrong)).toMatchObject({ status: 1, err: expect.stringContaining('line 02') as string });

    const served = repair(world, file);
    expect([served.status, served.out]).toEqual([
      0,
      expect.stringContaining('It is sent now, for bundle 1 of channel prod.'),
    ]);
    expect(repair(world, file)).toMatchObject({
      status: 1,
      err: expect.stringContaining('(ticket-too-soon)') as string,
    });
    await world.bundle(sequence, ['published'], 60_000);
    const sent = (await sourceSymbols(world)) - whole;
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan(0.95 * whole);
    expect(sluice('ticket', '--socket', join(world.dir, 'sockets/receiver.sock'), '--yes').err).toContain(
      '(ticket-nothing)',
    );
  });

  it('by kill -9 of link and sender: the sender goes on where it stopped, and a ticket fills what is left', async () => {
    const world = await pair({
      tune: ({ sender }) => {
        sender.link.rate = '100Mbit/s';
        sender.link.outageSurvived = '1ms';
      },
    });
    await world.start('receiver');
    await world.start('sender');
    const { sequence } = submitFile(world, 'killed.bin', 60 * MIB);
    const symbols = Math.ceil((60 * MIB) / 1408);
    await until('a third of it in the spool', 60_000, async () => (await spoolBytes(world)) > 20 * MIB || undefined);
    process.kill(world.linkPid(), 'SIGKILL');
    // What leaves before link runs again is lost.
    await until('more to leave', 60_000, async () => (await sourceSymbols(world)) > 0.75 * symbols || undefined);
    world.program('sender').kill('SIGKILL');
    const { log } = world.program('receiver');
    const starts = (): number => readFileSync(log, 'utf8').split('"msg":"link ready"').length - 1;
    await until('link to run again', 30_000, () => starts() > 1 || undefined);
    await world.start('sender');
    await passesLeft(world, 1);
    // A second run of the pass from its start would have sent 60 MiB once more.
    expect(await sourceSymbols(world)).toBeLessThan(0.7 * symbols);
    const { file } = ticketFor(world, String(sequence));
    expect(repair(world, file).status).toBe(0);
    await world.bundle(sequence, ['published'], 60_000);
    expect(await sourceSymbols(world)).toBeLessThan(0.9 * symbols);
    expect(existsSync(join(world.dir, 'quarantine'))).toBe(false);
  });
});
