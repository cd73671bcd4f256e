import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Layout } from '../harbor/images.ts';
import { missing } from '../harbor/needs.ts';
import { freePort, NODE_RELAY, Program } from '../world/processes.ts';
import { World } from '../world/world.ts';

const absent = missing('redis-server', 'docker-registry', 'umoci', 'tshark');

describe.skipIf(absent !== undefined)(
  `a walking pair${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-walk-'));
    let world: World;
    let relay: Program;
    let layout: Layout;

    beforeAll(async () => {
      const [linkPort, relayPort] = [await freePort(), await freePort()];
      world = await World.create({ dir, linkPort, sendTo: { host: '127.0.0.1', port: relayPort } });
      const faults = [
        '--loss',
        '0.03',
        '--duplicate',
        '0.01',
        '--reorder',
        '0.02',
        '--distance',
        '200',
        '--seed',
        '11',
      ];
      relay = new Program(
        'relay',
        [...NODE_RELAY, '--listen', String(relayPort), '--to', String(linkPort), ...faults],
        join(dir, 'logs/relay.log'),
      );
      await world.startServices();
      await world.startDaemons();
      layout = await Layout.create(join(dir, 'input/img'));
      await layout.image('1.0', 'first');
      writeFileSync(join(dir, 'input/notes.txt'), 'some notes');
    });

    afterAll(async () => {
      await relay.stop();
      await world.stop();
      rmSync(dir, { recursive: true, force: true });
    });

    const harbor = async (site: 'a' | 'b', path: string): Promise<Response> => {
      const port = site === 'a' ? world.ports.harborA : world.ports.harborB;
      const headers = {
        authorization: `Basic ${Buffer.from('admin:Harbor12345').toString('base64')}`,
        accept: 'application/vnd.oci.image.manifest.v1+json',
      };
      return fetch(`http://127.0.0.1:${String(port)}${path}`, { headers });
    };

    it('carries an image and a file through loss, and both sites have the digest', async () => {
      const paths = [layout.dir, join(dir, 'input/notes.txt')];
      const release = world.release('first', paths, ['release'], ['library/box']);
      expect(world.submit(release, paths).sequence).toBe(1);
      await world.bundle(1, ['imported'], 60_000);
      const wanted = readFileSync(join(layout.dir, 'index.json'), 'utf8');
      for (const site of ['a', 'b'] as const) {
        const response = await harbor(site, '/v2/library/box/manifests/1.0');
        expect(response.status).toBe(200);
        expect(wanted).toContain(response.headers.get('docker-content-digest'));
      }
      expect(readFileSync(join(dir, 'files/notes.txt'), 'utf8')).toBe('some notes');
    });

    it('takes a bundle from the inbox once it is renamed in, and refuses one without a release with its reason', async () => {
      const work = join(dir, 'input/from-inbox');
      execFileSync('mkdir', ['-p', work]);
      writeFileSync(join(work, 'more.txt'), 'more notes');
      const release = world.release('second', [join(work, 'more.txt')]);
      execFileSync('cp', [release, join(work, 'release.dsse.json')]);
      execFileSync('mv', [work, join(dir, 'inbox/second')]);
      await world.bundle(2, ['imported'], 60_000);
      expect(readFileSync(join(dir, 'files/more.txt'), 'utf8')).toBe('more notes');

      execFileSync('mkdir', [join(dir, 'input/bare')]);
      writeFileSync(join(dir, 'input/bare/x'), 'x');
      execFileSync('mv', [join(dir, 'input/bare'), join(dir, 'inbox/bare')]);
      await world.program('sender').line(/input refused/);
      const reason = JSON.parse(readFileSync(join(dir, 'refused/prod/bare/reason.json'), 'utf8')) as { code: string };
      expect(reason.code).toBe('release-missing');
    });

    it('quarantines what no release key signed, and goes on', async () => {
      const paths = [join(dir, 'input/notes.txt')];
      world.submit(world.release('third', paths, ['other']), paths);
      const refused = await world.bundle(3, ['quarantined'], 60_000);
      expect(refused.code).toBe('signer-unknown');
      world.submit(world.release('fourth', paths, ['transport']), paths);
      expect((await world.bundle(4, ['quarantined'], 60_000)).code).toBe('signer-unknown');
      writeFileSync(join(dir, 'input/notes.txt'), 'newer notes');
      world.submit(world.release('fifth', paths), paths);
      await world.bundle(5, ['imported'], 60_000);
      expect(readFileSync(join(dir, 'files/notes.txt'), 'utf8')).toBe('newer notes');
    });

    it('the chunk log replays to the same digests, and tshark finds ALC in every datagram', async () => {
      await world.program('sender').stop();
      await world.program('receiver').stop();
      const logs = readdirSync(join(dir, 'chunks')).map((name) => join(dir, 'chunks', name));
      const report = JSON.parse(world.sluice('replay', '--json', '--keys', join(dir, 'replay-keys.json'), ...logs)) as {
        datagrams: number;
        recorded: { same: number; need: number; differing: number };
        objects: { digest: string; state: string }[];
      };
      expect(report.datagrams).toBeGreaterThan(500);
      // What was needed is the receiver's to say: a history is wanted anew once it was read.
      const { same, need, differing } = report.recorded;
      expect([same + need, differing]).toEqual([report.datagrams, 0]);
      expect(need).toBeLessThan(report.datagrams / 50);
      expect(report.objects.length).toBeGreaterThan(5);
      expect(report.objects.every(({ state }) => state === 'whole')).toBe(true);
      const port = String(world.ports.link);
      const count = (log: string, filter: string): number => {
        const words = ['-r', log, '-d', `udp.port==${port},alc`, '-Y', filter, '-T', 'fields', '-e', 'frame.number'];
        return execFileSync('tshark', words, {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
          maxBuffer: 2 ** 28,
        })
          .split('\n')
          .filter(Boolean).length;
      };
      const all = logs.reduce((sum, log) => sum + count(log, 'udp'), 0);
      expect(all).toBe(report.datagrams);
      expect(logs.reduce((sum, log) => sum + count(log, 'rmt-lct'), 0)).toBe(all);
      expect(logs.reduce((sum, log) => sum + count(log, '_ws.malformed'), 0)).toBe(0);
    });
  },
);
