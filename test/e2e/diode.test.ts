import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../harbor/needs.ts';
import { Diode, diodeMissing, INTERFACE, ISOLATED_ADDRESS, MUTE } from '../rig/diode.ts';
import { until } from '../world/processes.ts';
import { World } from '../world/world.ts';

const absent = diodeMissing() ?? missing('redis-server', 'docker-registry', 'umoci', 'skopeo', 'curl', 'sha256sum');
const DATAGRAMS = join(import.meta.dirname, '../rig/datagrams.ts');
const MIB = 2 ** 20;
const LAYERS = 4;
const LAYER_BYTES = 64 * MIB;
const PORT = 4433;
const LOSS_PERCENT = 2;

interface Status {
  readonly link: {
    readonly numbers: Readonly<Record<string, number>>;
    readonly verdicts: Readonly<Record<string, number>>;
  };
}

// The daemons as they are, on the two sides of a link that goes one way. Everything of the isolated side (Redis,
// registries, Harbor's stand-in, receiver, link, importer) runs in its network namespace.
describe.skipIf(absent !== undefined)(
  `a pair across a diode of two namespaces${absent === undefined ? '' : `: ${absent}`}`,
  () => {
    const cleanup = new AsyncDisposableStack();
    const dir = mkdtempSync(join(tmpdir(), 'sluice-across-'));
    cleanup.defer(() => {
      rmSync(dir, { recursive: true, force: true });
    });
    const layout = join(dir, 'input/img');
    let diode: Diode;
    let world: World;

    beforeAll(async () => {
      diode = Diode.create({ name: 'pair', lossPercent: LOSS_PERCENT });
      cleanup.defer(() => {
        diode.destroy();
      });
      world = await World.create({
        dir,
        linkPort: PORT,
        sendTo: { host: ISOLATED_ADDRESS, port: PORT },
        on: (side, argv) => diode.on(side, argv),
        tune: ({ sender, link }) => {
          Object.assign(sender.link, { rate: '300Mbit/s' });
          sender.carousel = { passes: 2, gap: '5s' };
          Object.assign(link.chunkLog, { mode: 'off' });
        },
      });
      cleanup.defer(() => world.stop());
      await world.startServices();
      await world.startDaemons();
      makeImage();
    });
    afterAll(() => cleanup.disposeAsync());

    /** By umoci: layers of random bytes, which no compression makes smaller. */
    const makeImage = (): void => {
      execFileSync('umoci', ['init', '--layout', layout]);
      execFileSync('umoci', ['new', '--image', `${layout}:1.0`]);
      for (let i = 0; i < LAYERS; i += 1) {
        const file = join(dir, 'input', `random-${i}`);
        writeFileSync(file, randomBytes(LAYER_BYTES));
        execFileSync('umoci', ['insert', '--rootless', '--image', `${layout}:1.0`, file, `/srv/random-${i}`]);
        rmSync(file);
      }
    };
    const manifestDigest = (): string => {
      const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: { digest: string }[] };
      return index.manifests[0]?.digest ?? '';
    };
    const site = (name: 'a' | 'b'): string => {
      const port = { a: world.ports.harborA, b: world.ports.harborB }[name];
      return `docker://127.0.0.1:${port}/library/big:1.0`;
    };
    const words = (prefix: string): string[] => [
      `--${prefix}tls-verify=false`,
      `--${prefix}creds`,
      'admin:Harbor12345',
    ];
    /** Digests in hex of all that site B gives out for the image, pulled by skopeo and hashed by sha256sum. */
    const pulled = (): string[] => {
      const place = join(dir, 'pulled');
      mkdirSync(place);
      diode.exec('isolated', ['skopeo', 'copy', '--quiet', ...words('src-'), site('b'), `dir:${place}`]);
      const files = readdirSync(place).filter((file) => file !== 'version');
      const sums = execFileSync('sha256sum', files, { cwd: place, encoding: 'utf8' });
      return [...sums.matchAll(/^([0-9a-f]{64})/gm)].map(([hex]) => hex).sort();
    };
    const submitFile = (name: string, bytes: number): number => {
      const path = join(dir, 'input', name);
      writeFileSync(path, randomBytes(bytes));
      return world.submit(world.release(name, [path]), [path]).sequence;
    };
    const delivered = (name: string): void => {
      const [there, here] = ['files', 'input'].map((place) =>
        createHash('sha256')
          .update(readFileSync(join(dir, place, name)))
          .digest('hex'),
      );
      expect(there).toBe(here);
    };
    const send = (port: number): void => {
      const words = ['send', ISOLATED_ADDRESS, String(port), '50', '1452', 'native'];
      diode.exec('sender', [process.execPath, DATAGRAMS, ...words]);
    };
    const answersStopped = (): number => Number(diode.muteStatus().get('answers stopped before the interface'));
    /** No frame of any kind was offered to the link, and none had to be stopped at its last gate. */
    const expectMute = (): void => {
      expect(diode.egressCount()).toBe(0);
      const status = diode.muteStatus();
      expect(status.get('frames stopped at the interface')).toBe('0');
      expect(status.get('mute')).toBe('yes');
    };

    it('carries an image of 256 MiB through a random loss of 2 %, and both sites have it as it was', async () => {
      const blobs = readdirSync(join(layout, 'blobs/sha256'));
      const bytes = blobs.reduce((sum, name) => sum + statSync(join(layout, 'blobs/sha256', name)).size, 0);
      expect(bytes).toBeGreaterThan(LAYERS * LAYER_BYTES);
      const release = world.release('big', [layout], ['release'], ['library/big']);
      const { sequence } = world.submit(release, [layout]);
      await world.bundle(sequence, ['imported'], 120_000);
      // umoci leaves the manifests of its steps in the layout; what belongs to the image is what the index leads to.
      const manifest = manifestDigest().slice('sha256:'.length);
      const raw = diode.exec('isolated', ['skopeo', 'inspect', '--raw', ...words(''), site('a')]);
      expect(createHash('sha256').update(raw).digest('hex')).toBe(manifest);
      expect(pulled()).toEqual(imageBlobs(manifest));

      const { link } = (await world.get<Status>('receiver', '/v1/status')) ?? {};
      const seen = Object.values(link?.verdicts ?? {}).reduce((a, b) => a + b, 0);
      const lost = diode.ingressDropped();
      expect(lost / (lost + seen)).toBeCloseTo(LOSS_PERCENT / 100, 2);
      expect(link?.numbers.recoveredSymbols).toBeGreaterThan(1000);
      expectMute();
    });

    it('is mute while link and receiver end and start again in the middle of a bundle', async () => {
      const sequence = submitFile('restarted.bin', 96 * MIB);
      await until('part of it in the spool', 60_000, async () => {
        const status = await world.get<Status>('receiver', '/v1/status');
        return (status?.link.numbers.spoolBytes ?? 0) > 4 * MIB || undefined;
      });
      process.kill(world.linkPid(), 'SIGKILL');
      await world.program('receiver').stop();
      await world.start('receiver');
      await world.bundle(sequence, ['imported'], 120_000);
      delivered('restarted.bin');
      expectMute();
    });

    it('is mute while the receiver is stopped and the sender goes on, and under datagrams to closed ports', async () => {
      await world.program('receiver').stop();
      const before = answersStopped();
      // Heartbeats now come to a closed port, each of which the kernel would answer.
      await until('answers to heartbeats to be stopped', 20_000, () => answersStopped() > before || undefined);
      // The kernel answers one peer about once a second, so a single datagram may go unanswered anyway.
      const sofar = answersStopped();
      await until('answers from closed ports to be stopped', 20_000, () => {
        for (const port of [PORT, 1, 4999]) send(port);
        return answersStopped() > sofar + 1 || undefined;
      });
      expectMute();
      await world.start('receiver');
      const sequence = submitFile('afterwards.bin', MIB);
      await world.bundle(sequence, ['imported'], 60_000);
      delivered('afterwards.bin');
      expectMute();
    });

    it('the very counter counts as soon as the interface may speak', async () => {
      await world.program('receiver').stop();
      diode.exec('isolated', ['sh', MUTE, INTERFACE, 'down']);
      send(PORT);
      await until('frames at the egress', 20_000, () => diode.egressCount() > 0 || undefined);
    });

    /** Hex digests of an image's manifest, configuration and layers. */
    function imageBlobs(manifest: string): string[] {
      const { config, layers } = JSON.parse(readFileSync(join(layout, 'blobs/sha256', manifest), 'utf8')) as {
        config: { digest: string };
        layers: { digest: string }[];
      };
      const named = [config, ...layers].map(({ digest }) => digest.slice('sha256:'.length));
      return [manifest, ...named].sort();
    }
  },
);
