import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Layout } from '../harbor/images.ts';
import { missing } from '../harbor/needs.ts';
import { Chromium } from '../rig/chromium.ts';
import { until } from '../world/processes.ts';
import { MAIN, NODE, World } from '../world/world.ts';

const absent = missing('redis-server', 'docker-registry', 'umoci', 'chromium', 'script');

interface Check {
  readonly status: string;
  readonly observedValue?: number;
  readonly threshold: number;
  readonly output?: string;
}

describe.skipIf(absent !== undefined)(`the canary${absent === undefined ? '' : `: ${absent} is not installed`}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-canary-'));
  let world: World;
  let release: string;

  beforeAll(async () => {
    world = await World.create({
      dir,
      tune: ({ sender, receiver, importer }) => {
        // No check for CVE databases, which never come here.
        for (const { channels } of [receiver, importer]) for (const each of channels) each.types = ['image', 'file'];
        // Every two seconds instead of every hour.
        const canary = { channel: 'prod', directory: join(dir, 'input/canary'), schedule: '*/2 * * * * *' };
        Object.assign(sender, { canary });
        sender.carousel = { passes: 1, gap: '1h' };
        Object.assign(receiver, { linkQuietAfter: '1s' });
      },
    });
    const layout = await Layout.create(join(dir, 'input/canary/image'));
    await layout.image('hourly', 'a canary');
    const file = world.release('canary', [layout.dir], ['release'], ['library/canary']);
    cpSync(file, join(dir, 'input/canary/release.dsse.json'));
    release = `sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}`;
    Object.assign(world.configs.receiver, { canary: { channel: 'prod', release, site: 'b', maxAge: '15s' } });
    world.writeConfigs();
    await world.startServices();
    await world.startDaemons();
  });

  afterAll(async () => {
    await world.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const check = async (): Promise<Check | undefined> =>
    (await world.get<{ checks: Record<string, Check[]> }>('receiver', '/healthz'))?.checks['canary:age']?.[0];

  it('says its release digest when it is verified: that is what the policy names', () => {
    const words = world.sluice(
      ...['release', 'verify', '--key', join(dir, 'keys/release.pub.pem'), join(dir, 'input/canary.json')],
    );
    expect(words).toContain(release);
  });

  it('crosses again and again by itself, one release in bundles of their own, proven at site B', async () => {
    for (const sequence of [1, 2, 3]) await world.bundle(sequence, ['imported'], 60_000);
    const bundles = (await world.bundles()) as unknown as { id: string; release: string; state: string }[];
    expect(new Set(bundles.map((bundle) => bundle.release))).toEqual(new Set([release]));
    expect(new Set(bundles.map(({ id }) => id)).size).toBe(bundles.length);
    expect(bundles.filter(({ state }) => state === 'quarantined')).toEqual([]);
    expect(await check()).toMatchObject({ status: 'pass', threshold: 15 });
    const metrics = await (await fetch(world.url('receiver', '/metrics'))).text();
    expect(metrics).toMatch(/^sluice_canary_age_seconds\{channel="prod"\} \d+$/m);
    expect(metrics).toMatch(/^sluice_canary_transit_seconds\{channel="prod"\} \d+$/m);
  });

  it('is the number on top of the page', async () => {
    const chromium = await Chromium.start();
    try {
      const tab = await chromium.open(world.url('receiver', '/'));
      const isAge = async (): Promise<true | undefined> => /^\d+ s$/.test(await tab.text('canary-age')) || undefined;
      await until('the page to tell the age', 20_000, isAge);
      expect(await tab.text('canary-detail')).toMatch(
        /^bundle \d+ came the whole way, to a and b, in \d+ s; the limit is 15 s$/,
      );
      expect(await tab.value<string>(`document.querySelector('main > section:not([hidden])').id`)).toBe('canary');
      const pictures = process.env.SLUICE_SCREENSHOTS;
      if (pictures === undefined) return;
      await tab.look(1280, 900, 'light');
      await tab.screenshot(join(pictures, 'canary-receiver.png'));
    } finally {
      await chromium.stop();
    }
  });

  const at = (daemon: 'sender' | 'receiver'): string[] => ['--at', world.url(daemon, '')];
  /** A command with its status, whatever it is. */
  const run = (...args: string[]): { status: number | null; out: string; err: string } => {
    const { status, stdout, stderr } = spawnSync(NODE, [MAIN, ...args], { encoding: 'utf8' });
    return { status, out: stdout, err: stderr };
  };

  it('is the first thing that sluice status says, in words and in JSON', () => {
    const { out, status } = run('status', ...at('receiver'));
    expect(out.split('\n')[1]).toMatch(/^canary +ok \d+ s: bundle \d+ came the whole way, to a and b/);
    expect(out).toMatch(/^link +(ok Link up|>> Receiving): last heartbeat/m);
    expect(out).toMatch(/^channel prod +ok last number \d+, none missing$/m);
    expect([status, out.split('\n').filter((line) => line.startsWith('checks'))]).toEqual([
      0,
      [expect.stringMatching(/^checks +ok all \d+ pass$/)],
    ]);
    const json = JSON.parse(run('status', '--json', ...at('receiver')).out) as { canary: { level: string } };
    expect(json.canary.level).toBe('good');
    const sender = run('status', ...at('sender'));
    expect(sender.out).toMatch(/^link +(\? {2}Idle|>> Sending): /m);
    expect(sender.out).not.toMatch(/delivered|complete|imported/);
  });

  it('can be watched to its end, listed and shown, by number, by id, and by the beginning of one', () => {
    const name = 'notes \u202e<b>';
    writeFileSync(join(dir, 'input/notes.txt'), 'some notes');
    const paths = [join(dir, 'input/notes.txt')];
    const { sequence, bundle } = world.submit(world.release(name, paths), paths);
    const place = `prod/${String(sequence)}`;
    const watched = run('watch', place, ...at('receiver'));
    expect([watched.status, watched.out]).toEqual([
      0,
      expect.stringMatching(new RegExp(`^${place} imported sha256:`, 'm')),
    ]);
    const shown = run('show', place, ...at('receiver')).out;
    expect(shown.split('\n')[0]).toBe(`${place} notes \\u202e<b>`);
    expect(shown).toMatch(/^\d{4}-.*Z +received channel=prod/m);
    expect(shown).toMatch(/^receipt +imported: ok$/m);
    for (const word of [bundle, bundle.slice(7, 17), bundle.slice(0, 20), String(sequence)])
      expect(run('show', word, ...at('receiver')).out).toBe(shown);
    const listed = run('bundles', '--state', 'imported', '--limit', '100', ...at('receiver')).out;
    expect(listed).toContain(`${place} `);
    const json = JSON.parse(run('bundles', '--json', '--limit', '2', ...at('receiver')).out) as { items: unknown[] };
    expect(json.items).toHaveLength(2);
    expect(run('bundles', ...at('sender')).out).toMatch(new RegExp(`^${place} +sent: pass 1 of 1`, 'm'));
  });

  it('on a terminal a bar shows how far it is, and says why it was refused', async () => {
    writeFileSync(join(dir, 'input/large.bin'), randomBytes(60 * 2 ** 20));
    const paths = [join(dir, 'input/large.bin')];
    const large = world.release('large', paths);
    const submit = ['submit', '--socket', join(dir, 'sockets/sender.sock'), '--release', large, ...paths];
    const on = (words: readonly string[]): string =>
      spawnSync('script', ['-qec', words.map((word) => `'${word}'`).join(' '), '/dev/null'], {
        encoding: 'utf8',
        env: { ...process.env, COLUMNS: '120', TERM: 'dumb' },
      }).stdout;
    const sealed = on([NODE, MAIN, ...submit]);
    expect(sealed).toMatch(/submitting \[[#.]{24}\] \d+ %, .* of 62\.9 MB, .*\/s/);
    const [, sequence = ''] = /"sequence":(\d+)/.exec(sealed) ?? [];
    expect(on([NODE, MAIN, 'watch', `prod/${sequence}`, ...at('receiver')])).toMatch(/bundle \[[#.]{24}\] \d+ %/);
    const bad = world.submit(world.release('bad', [join(dir, 'input/notes.txt')], ['other']), [
      join(dir, 'input/notes.txt'),
    ]);
    await world.bundle(bad.sequence, ['quarantined'], 60_000);
    const { status, out } = run('watch', `prod/${String(bad.sequence)}`, ...at('receiver'));
    expect([status, out]).toEqual([1, expect.stringContaining('quarantined: signer-unknown')]);
  });

  it('what is not there, or does not answer, is one sentence that says what to do', () => {
    const cases: [string[], number, RegExp][] = [
      [
        ['show', 'prod/9999', ...at('receiver')],
        1,
        /^sluice: there is no bundle prod\/9999 at .*; "sluice bundles" lists them\n$/,
      ],
      [['show', 'what?', ...at('receiver')], 2, /^sluice: "what\?" names no bundle: .*\n$/],
      [['bundles', '--state', 'lost', ...at('receiver')], 1, /^sluice: http.*state.*\n$/],
      [['status', '--at', '127.0.0.1:1'], 1, /^sluice: http:\/\/127\.0\.0\.1:1 does not answer .*\(daemon-silent\)\n$/],
      [['status', '--at', 'ftp://x'], 2, /^sluice: --at takes the address of a daemon, .*\n$/],
    ];
    for (const [args, status, words] of cases) {
      const ended = run(...args);
      expect([args, ended.status, ended.out]).toEqual([args, status, '']);
      expect(ended.err).toMatch(words);
    }
  });

  it('lets no other release in twice', async () => {
    const paths = [join(dir, 'input/canary/image')];
    const other = world.release('other', paths, ['release'], ['library/other']);
    const first = world.submit(other, paths);
    await world.bundle(first.sequence, ['imported'], 60_000);
    const again = world.submit(other, paths);
    expect(await world.bundle(again.sequence, ['quarantined'], 60_000)).toMatchObject({ code: 'release-repeated' });
  });

  it('grows old when nothing comes the whole way any more, though the link is up', async () => {
    await world.program('importer').stop();
    const old = await until('the canary to be too old', 60_000, async () => {
      const seen = await check();
      return seen?.status === 'warn' ? seen : undefined;
    });
    expect(old.observedValue).toBeGreaterThan(15);
    expect(old.output).toMatch(/nothing has come the whole way/);
    await world.start('importer');
    await until('the canary to be young again', 60_000, async () =>
      (await check())?.status === 'pass' ? true : undefined,
    );
  });
});
