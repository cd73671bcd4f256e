import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChaosCase, type Figures, must, secondsSince } from './case.ts';
import { MIB } from './content.ts';
import { daemonWith, Rig } from './rig.ts';

const BYTES = 8 * MIB;
const RECEIVING_S = 10;
const YEAR_MS = 365 * 86_400_000;
const DEADLINE_MS = 120_000;
const CEPH = join(import.meta.dirname, '../env/ceph-rgw.sh');
const MAKE_BUCKET = join(import.meta.dirname, 'make-bucket.ts');
const BUCKET = 'published';
/** What is absent at the start, under the names by which the daemons know it. */
type Service = 'redis' | 's3' | 'harbor';
const ORDERS: readonly (readonly Service[])[] = [
  ['redis', 's3', 'harbor'],
  ['redis', 'harbor', 's3'],
  ['s3', 'redis', 'harbor'],
  ['s3', 'harbor', 'redis'],
  ['harbor', 'redis', 's3'],
  ['harbor', 's3', 'redis'],
];

/** The name of a service for the daemons: nobody resolves it before it is there. */
const nameOf = (service: Service): string => `${service}.site.test`;

/** libfaketime, for threads. Monotonic clocks stay as they are; the wall clock stands where the file says. */
function clockLibrary(): string {
  const triplet = execFileSync('cc', ['-print-multiarch'], { encoding: 'utf8' }).trim();
  return `/usr/lib/${triplet}/faketime/libfaketimeMT.so.1`;
}

/** Names and wall clock of the isolated side, and the S3 service there. */
class Surroundings {
  readonly rig: { dir: string };
  readonly #hosts: string;
  readonly #clock: string;

  constructor(dir: string) {
    this.rig = { dir };
    this.#hosts = join(dir, 'hosts');
    this.#clock = join(dir, 'clock');
    this.set([], '@1970-01-01 00:00:00');
    writeFileSync(join(dir, 'resolv.conf'), 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n');
  }

  /** Written in place: what is mounted over a file of the system is this very file. */
  set(there: readonly Service[], clock: string): void {
    const lines = ['127.0.0.1 localhost', ...there.map((service) => `127.0.0.1 ${nameOf(service)}`)];
    writeFileSync(this.#hosts, `${lines.join('\n')}\n`);
    writeFileSync(this.#clock, `${clock}\n`);
  }

  /** A daemon of the isolated side: with our names and our clock. `ip netns exec` has given it mounts of its own. */
  wrap(argv: readonly string[]): readonly string[] {
    const { dir } = this.rig;
    const variables = {
      LD_PRELOAD: clockLibrary(),
      FAKETIME_TIMESTAMP_FILE: this.#clock,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
    const wrapped = daemonWith(argv, variables, ['receiver', 'importer']);
    if (wrapped === argv) return argv;
    const mounts = `mount --bind ${this.#hosts} /etc/hosts && mount --bind ${join(dir, 'resolv.conf')} /etc/resolv.conf`;
    return ['sh', '-c', `${mounts} && exec "$@"`, 'sh', ...wrapped];
  }
}

/** The S3 service in the isolated namespace. Its data stays between runs. */
class Bucket {
  readonly #rig: Rig;
  readonly #dir: string;

  constructor(rig: Rig) {
    this.#rig = rig;
    this.#dir = join(rig.dir, 'ceph');
  }

  start(): Map<string, string> {
    this.#rig.diode.exec('isolated', ['sh', '-c', `${CEPH} start ${this.#dir} >/dev/null 2>&1`]);
    const lines = this.#rig.diode.exec('isolated', [CEPH, 'env', this.#dir]).trim().split('\n');
    return new Map(lines.map((line) => line.split('=', 2) as [string, string]));
  }

  make(values: ReadonlyMap<string, string>): void {
    const words = ['S3_ENDPOINT', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'].map((name) => values.get(name) ?? '');
    this.#rig.diode.exec('isolated', [process.execPath, MAKE_BUCKET, ...words, BUCKET]);
  }

  stop(): void {
    this.#rig.diode.exec('isolated', [CEPH, 'stop', this.#dir]);
  }
}

async function boot(
  rig: Rig,
  bucket: Bucket,
  surroundings: Surroundings,
  order: readonly Service[],
  figures: Figures,
): Promise<void> {
  const { world } = rig;
  const name = `${order.join('-')}.bin`;
  for (const daemon of ['receiver', 'importer'] as const) await world.program(daemon).stop();
  for (const program of ['redis', 'harbor-a', 'harbor-b']) await world.program(program).stop();
  bucket.stop();
  surroundings.set([], '@1970-01-01 00:00:00');
  const { sequence } = rig.submitFile(name, BYTES);
  const started = performance.now();
  await world.start('receiver');
  await rig.spooled(MIB);
  const receiving = secondsSince(started);
  must(receiving <= RECEIVING_S, `nothing was received for ${String(receiving)} s`);
  const { time } = JSON.parse(world.program('receiver').output().trim().split('\n').at(-1) ?? '{}') as { time: number };
  must(time < YEAR_MS, `the receiver's clock says ${new Date(time).toISOString()}`);
  await world.start('importer');
  const there: Service[] = [];
  for (const service of order) {
    if (service === 's3') bucket.start();
    else for (const program of service === 'redis' ? ['redis'] : ['harbor-b', 'harbor-a']) await world.again(program);
    there.push(service);
    surroundings.set(there, '@1970-01-01 00:00:00');
    if (there.length < order.length) {
      const [seen] = (await world.bundles()).filter((each) => each.sequence === sequence);
      must(
        seen?.state !== 'imported',
        `imported without ${order.filter((each) => !there.includes(each)).join(' and ')}`,
      );
    }
  }
  const complete = performance.now();
  await world.bundle(sequence, ['imported'], DEADLINE_MS);
  must(rig.delivered(name), `${name} was not delivered as it was`);
  figures[order.join(', ')] =
    `receiving after ${String(receiving)} s, imported ${String(secondsSince(complete))} s after the last`;
}

/** The isolated side starts alone in the dark. */
export const blackStart: ChaosCase = {
  name: 'black-start',
  about:
    'receiver boots in 1970 without Redis, S3, Harbor, DNS, NTP: receives within 10 s, imports in any order of arrival',
  run: async (figures) => {
    let surroundings: Surroundings | undefined;
    await using rig = await Rig.create({
      name: 'black',
      lossPercent: 1,
      wrap: (argv, dir) => (surroundings ??= new Surroundings(dir)).wrap(argv),
      tune: ({ sender, receiver, importer }, dir) => {
        sender.carousel = { passes: 20, gap: '2s' };
        const address = (service: Service, url: string): string => url.replace('127.0.0.1', nameOf(service));
        receiver.redis.url = address('redis', receiver.redis.url);
        importer.redis.url = receiver.redis.url;
        importer.harbor.url = address('harbor', importer.harbor.url);
        importer.sites = importer.sites.map((site) => ({ ...site, url: address('harbor', site.url) }));
        const secrets = { accessKeyIdFile: join(dir, 'keys/s3.id'), secretAccessKeyFile: join(dir, 'keys/s3.secret') };
        // The endpoint is known once the service has run for the first time.
        const store = { type: 's3', endpoint: 'http://s3.site.test:1', bucket: BUCKET, ...secrets };
        receiver.store = store;
        importer.store = store;
      },
    });
    const bucket = new Bucket(rig);
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => bucket.stop());
    const values = bucket.start();
    bucket.make(values);
    for (const daemon of [rig.world.configs.receiver, rig.world.configs.importer])
      daemon.store.endpoint = (values.get('S3_ENDPOINT') ?? '').replace('127.0.0.1', nameOf('s3'));
    writeFileSync(join(rig.dir, 'keys/s3.id'), values.get('AWS_ACCESS_KEY_ID') ?? '', { mode: 0o600 });
    writeFileSync(join(rig.dir, 'keys/s3.secret'), values.get('AWS_SECRET_ACCESS_KEY') ?? '', { mode: 0o600 });
    rig.world.writeConfigs();
    await rig.startAll();
    must(surroundings !== undefined, 'no daemon was started in the dark');
    for (const order of ORDERS) await boot(rig, bucket, surroundings, order, figures);
    must(!readFileSync(rig.world.program('receiver').log, 'utf8').includes('uncaught'), 'the receiver crashed');
  },
};
