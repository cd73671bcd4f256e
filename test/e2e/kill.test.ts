import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Layout } from '../harbor/images.ts';
import { missing } from '../harbor/needs.ts';
import { getJson, until } from '../world/processes.ts';
import { World } from '../world/world.ts';

const absent = missing('redis-server', 'docker-registry', 'umoci');
const MIB = 2 ** 20;

// kill -9 of each process in the middle of its work. Each test prints the stop at which it killed; nobody mends anything
// but systemd's part, which is to start the process again.
describe.skipIf(absent !== undefined)(`kill -9${absent === undefined ? '' : `: ${absent} is not installed`}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-kill-'));
  let world: World;
  let layout: Layout;

  beforeAll(async () => {
    world = await World.create({
      dir,
      // The first manifest put into library/kill gets no answer: the importer stands between blob and manifest.
      faults: [{ match: '^PUT /v2/library/kill/manifests/', stall: true, times: 1 }],
      tune: ({ sender }) => {
        sender.carousel = { passes: 3, gap: '2s' };
      },
    });
    await world.startServices();
    await world.startDaemons();
    layout = await Layout.create(join(dir, 'input/img'));
  });

  afterAll(async () => {
    await world.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  /** A file of random bytes in a bundle of its own; gives its sequence number. */
  const submitFile = (name: string, bytes: number): number => {
    const path = join(dir, 'input', name);
    writeFileSync(path, randomBytes(bytes));
    return world.submit(world.release(name, [path]), [path]).sequence;
  };

  const delivered = (name: string): void => {
    expect(readFileSync(join(dir, 'files', name)).equals(readFileSync(join(dir, 'input', name)))).toBe(true);
  };

  /** Waits until a line written from now on matches, and gives it. */
  const nextLine = (program: 'receiver' | 'sender' | 'importer', pattern: RegExp): Promise<string> => {
    const { log } = world.program(program);
    const from = readFileSync(log, 'utf8').length;
    return until(`${program} to print ${String(pattern)}`, 60_000, () =>
      readFileSync(log, 'utf8')
        .slice(from)
        .split('\n')
        .find((line) => pattern.test(line)),
    );
  };

  const spooled = async (): Promise<number> => {
    const status = await getJson<{ link: { numbers: Record<string, number> } }>(world.url('receiver', '/v1/status'));
    return status?.link.numbers.spoolBytes ?? 0;
  };

  it('link, while it gathers', async () => {
    const sequence = submitFile('link.bin', 96 * MIB);
    await until('a third of the object in the spool', 60_000, async () => (await spooled()) > 12 * MIB || undefined);
    const pid = world.linkPid();
    process.kill(pid, 'SIGKILL');
    console.log(
      `killed link (${String(pid)}) at stop 10 gather, ${String(Math.round((await spooled()) / MIB))} MiB in the spool`,
    );
    await world.bundle(sequence, ['imported'], 120_000);
    delivered('link.bin');
  });

  it('receiver, while it publishes', async () => {
    const verified = nextLine('receiver', /"msg":"verified"/);
    const sequence = submitFile('receiver.bin', 32 * MIB);
    await verified;
    world.program('receiver').kill('SIGKILL');
    console.log('killed receiver at stop 14 publish, verified and not published');
    await world.start('receiver');
    await world.bundle(sequence, ['imported'], 120_000);
    delivered('receiver.bin');
  });

  it('sender, in the middle of a pass', async () => {
    const sequence = submitFile('sender.bin', 96 * MIB);
    await until('a third of the object in the spool', 60_000, async () => (await spooled()) > 12 * MIB || undefined);
    world.program('sender').kill('SIGKILL');
    console.log('killed sender at stop 7 depart, in mid-pass');
    await world.start('sender');
    await world.bundle(sequence, ['imported'], 120_000);
    delivered('sender.bin');
  });

  it('importer, between blob and manifest, and again during replication', async () => {
    await layout.image('2.0', 'killed twice');
    const { sequence } = world.submit(world.release('image', [layout.dir], ['release'], ['library/kill']), [
      layout.dir,
    ]);
    // Ten looks in a row: all blobs are pushed then, and the manifest waits for its answer.
    let looks = 0;
    await until('the importer to stand behind its blobs', 60_000, async () => {
      const status = await getJson<unknown>(world.url('importer', '/v1/status'));
      looks = JSON.stringify(status).includes('"stop":"blob"') ? looks + 1 : 0;
      return looks >= 10 || undefined;
    });
    world.program('importer').kill('SIGKILL');
    console.log('killed importer at stop 15 import, between blob and manifest');
    const replication = nextLine('importer', /"stop":"replication"/);
    await world.start('importer');
    await replication;
    world.program('importer').kill('SIGKILL');
    console.log('killed importer at stop 15 import, during replication');
    await world.start('importer');
    await world.bundle(sequence, ['imported'], 120_000);
    const wanted = readFileSync(join(layout.dir, 'index.json'), 'utf8');
    for (const port of [world.ports.harborA, world.ports.harborB]) {
      const headers = {
        authorization: `Basic ${Buffer.from('admin:Harbor12345').toString('base64')}`,
        accept: 'application/vnd.oci.image.manifest.v1+json',
      };
      const response = await fetch(`http://127.0.0.1:${String(port)}/v2/library/kill/manifests/2.0`, { headers });
      expect(response.status).toBe(200);
      expect(wanted).toContain(response.headers.get('docker-content-digest'));
    }
  });

  it('redis-server, with its data: what was published is queued again', async () => {
    const sequence = submitFile('redis.bin', 4 * MIB);
    world.program('redis').kill('SIGKILL');
    rmSync(join(dir, 'redis'), { recursive: true, force: true });
    await until(
      'the bundle to be published',
      60_000,
      async () =>
        (await world.bundles()).some((each) => each.sequence === sequence && each.state !== 'receiving') || undefined,
    );
    mkdirSync(join(dir, 'redis'));
    world.startRedis();
    console.log('killed redis-server and removed its data between stops 14 and 15');
    await world.bundle(sequence, ['imported'], 120_000);
    delivered('redis.bin');
    expect(existsSync(join(dir, 'quarantine'))).toBe(false);
  });
});
