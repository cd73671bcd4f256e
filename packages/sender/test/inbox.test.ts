import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { until } from '../../../test/world/processes.ts';
import { Sender } from './daemon.ts';
import { bundleAt, digestOf, put, releaseOf } from './inputs.ts';

const TIMEOUT_MS = 60_000;
const isRoot = process.getuid?.() === 0;

/** Renames something made elsewhere into the inbox, as an operator does. */
function drop(sender: Sender, name: string, make: (path: string) => void, channel = 'prod'): void {
  const made = join(sender.dir, 'made');
  make(made);
  renameSync(made, join(sender.dir, `inbox-${channel}`, name));
}
const refusedAs = (sender: Sender, name: string): Promise<string> =>
  until(`${name} to be refused`, 30_000, () => sender.refused()[name]);
const arrived = (sender: Sender, sequence: number, channel = 'prod') =>
  until(`sequence ${sequence} on the fibre`, 30_000, () => sender.fibre.statements(channel).get(sequence));

describe('the inbox', { timeout: TIMEOUT_MS }, () => {
  it('refuses what is no bundle, each with its reason, touches nothing that a link points to, and goes on', async () => {
    const sender = await Sender.start();
    const outside = put(join(sender.dir, 'outside'), { secret: 'secret', 'release.dsse.json': '{}' });
    const content = { motd: Buffer.from('hello') };
    const socket = createServer();
    const inputs: Record<string, (path: string) => void> = {
      'link-to-directory': (path) => symlinkSync(outside, path),
      'link-to-nothing': (path) => symlinkSync('/nowhere', path),
      fifo: (path) => execFileSync('mkfifo', [path]),
      'plain-file': (path) => writeFileSync(path, 'x'),
      empty: (path) => mkdirSync(path),
      'no-release': (path) => put(path, { motd: 'hello' }),
      'release-elsewhere': (path) => put(path, { 'sub/release.dsse.json': releaseOf(content), ...content }),
      'link-within': (path) => symlinkSync(join(outside, 'secret'), join(bundleAt(path, content), 'link')),
      'fifo-within': (path) => execFileSync('mkfifo', [join(bundleAt(path, content), 'pipe')]),
      'hard-link': (path) => execFileSync('ln', [join(bundleAt(path, content), 'motd'), join(path, 'again')]),
      'junk-release': (path) => put(path, { 'release.dsse.json': 'junk', ...content }),
      unsigned: (path) => put(path, { 'release.dsse.json': '{"payloadType":"x","payload":"","signatures":[]}' }),
      'other-content': (path) => put(path, { 'release.dsse.json': releaseOf(content), motd: 'olleh' }),
      'absent-content': (path) => put(path, { 'release.dsse.json': releaseOf(content) }),
      ...(isRoot ? { device: (path: string) => execFileSync('mknod', [path, 'c', '1', '3']) } : {}),
    };
    for (const [name, make] of Object.entries(inputs)) drop(sender, name, make);
    mkdirSync(join(sender.dir, 'made'));
    await new Promise<void>((resolve) => socket.listen(join(sender.dir, 'made/s'), resolve));
    renameSync(join(sender.dir, 'made'), join(sender.dir, 'inbox-prod/socket-within'));
    const names = [...Object.keys(inputs), 'socket-within'];
    await until('all to be refused', 30_000, () => Object.keys(sender.refused()).length === names.length || undefined);
    socket.close();
    expect(sender.refused()).toEqual({
      'link-to-directory': 'special-file',
      'link-to-nothing': 'special-file',
      fifo: 'special-file',
      'plain-file': 'special-file',
      empty: 'release-missing',
      'no-release': 'release-missing',
      'release-elsewhere': 'release-missing',
      'link-within': 'special-file',
      'fifo-within': 'special-file',
      'hard-link': 'special-file',
      'junk-release': 'json-malformed',
      unsigned: 'payload-type',
      'other-content': 'digest-mismatch',
      'absent-content': 'blob-missing',
      'socket-within': 'special-file',
      ...(isRoot ? { device: 'special-file' } : {}),
    });
    expect(readdirSync(outside).sort()).toEqual(['release.dsse.json', 'secret']);
    expect(readdirSync(join(sender.dir, 'inbox-prod'))).toEqual([]);
    expect(sender.working()).toEqual([]);
    const kept = readFileSync(join(sender.dir, 'refused/prod/other-content/input/motd'), 'utf8');
    expect(kept).toBe('olleh');
    const reason = readFileSync(join(sender.dir, 'refused/prod/no-release/reason.json'), 'utf8');
    expect(JSON.parse(reason)).toMatchObject({ name: 'no-release', code: 'release-missing' });

    drop(sender, 'good', (path) => bundleAt(path, content));
    const statement = await arrived(sender, 1);
    expect(statement.bytes).toBe(content.motd.length);
    expect(sender.fibre.statements().size).toBe(1);
  });

  it('a name with a dot is not there yet; renamed it is; the same name again has its own place when it is refused', async () => {
    const sender = await Sender.start();
    drop(sender, '.coming', (path) => bundleAt(path, { a: Buffer.from('a') }));
    drop(sender, 'first', (path) => put(path, { a: 'a' }));
    await refusedAs(sender, 'first');
    drop(sender, 'first', (path) => put(path, { b: 'b' }));
    await refusedAs(sender, 'first.2');
    expect(sender.fibre.statements().size).toBe(0);
    expect(readdirSync(join(sender.dir, 'inbox-prod'))).toEqual(['.coming']);
    renameSync(join(sender.dir, 'inbox-prod/.coming'), join(sender.dir, 'inbox-prod/come'));
    await arrived(sender, 1);
    expect(readdirSync(join(sender.dir, 'inbox-prod'))).toEqual([]);
  });

  it('names of any kind are taken as they are', async () => {
    const sender = await Sender.start();
    const names = [
      '-rf',
      'with space',
      'new\nline',
      'ünïcödé',
      '00000001.abcd-x',
      'a'.repeat(255),
      '$(id)',
      '\u001b[31m',
    ];
    for (const name of names) drop(sender, name, (path) => put(path, { a: 'a' }));
    await until('all to be refused', 30_000, () => Object.keys(sender.refused()).length === names.length || undefined);
    const expected = names.map((name) => (name.length === 255 ? name.slice(0, 200) : name));
    expect(Object.keys(sender.refused()).sort()).toEqual(expected.sort());
    // Nothing of a name reaches the log as it is.
    expect(sender.log).not.toContain('\u001b');
    expect(
      sender.log
        .split('\n')
        .filter((line) => line !== '')
        .every((line) => line.startsWith('{')),
    ).toBe(true);
  });

  it('each channel has its own, and its own numbers', async () => {
    const sender = await Sender.start();
    const content = { a: randomBytes(400_000), b: randomBytes(10) };
    for (const channel of ['lab', 'prod']) drop(sender, 'bundle', (path) => bundleAt(path, content), channel);
    for (const channel of ['lab', 'prod']) expect((await arrived(sender, 1, channel)).channel).toBe(channel);
    await until('the large blob', 30_000, () => sender.fibre.whole().get(digestOf(content.a)));
  });

  it('an input that was being handled when the process was killed is taken up again, once', async () => {
    const sender = await Sender.start({ carousel: { passes: 1, gap: '1s' } });
    const inputs = 3;
    for (let n = 0; n < inputs; n += 1) {
      const already = sender.log.split('"msg":"sealed"').length;
      drop(sender, `bundle-${n}`, (path) => bundleAt(path, { [`f${n}`]: randomBytes(200_000) }));
      await until(
        'a bundle to be sealed',
        30_000,
        () => sender.log.split('"msg":"sealed"').length > already || undefined,
      );
      // A session speaks once its second is over: the first one is given that time, the others are killed at once.
      if (n === 0) await until('a session to speak', 30_000, () => sender.fibre.sessions.length > 0 || undefined);
      await sender.stop('SIGKILL');
      await sender.run();
    }
    await arrived(sender, inputs);
    await until('all statements', 30_000, () => sender.fibre.statements().size === inputs || undefined);
    const all = sender.fibre.statements();
    for (let sequence = 1; sequence <= inputs; sequence += 1) {
      expect(all.get(sequence)?.previous).toBe(all.get(sequence - 1)?.id ?? null);
    }
    expect(sender.refused()).toEqual({});
    await until('the work area to be empty', 30_000, () => sender.working().length === 0 || undefined);
    // Each start is a session of its own, each greater than the one before.
    const { sessions } = sender.fibre;
    expect(sessions.length).toBeGreaterThan(1);
    expect(sessions).toEqual(sessions.toSorted((a, b) => a - b));
  });

  it('a pass that was cut off is begun anew, and every bundle has as many as it should', async () => {
    const content = { a: randomBytes(3_000_000) };
    const sender = await Sender.start({
      link: { host: '127.0.0.1', port: 1, io: 'portable', rate: '8Mbit/s', statementLead: '20ms' },
    });
    drop(sender, 'slow', (path) => bundleAt(path, content));
    await until('a pass to be under way', 30_000, () => sender.log.includes('"msg":"sealed"') || undefined);
    await sender.stop('SIGKILL');
    const config = JSON.parse(readFileSync(join(sender.dir, 'sender.json'), 'utf8')) as Record<string, unknown>;
    const link = {
      host: '127.0.0.1',
      port: sender.fibre.port,
      io: 'portable',
      rate: '80Mbit/s',
      statementLead: '20ms',
    };
    writeFileSync(
      join(sender.dir, 'sender.json'),
      JSON.stringify({ ...config, link, carousel: { passes: 2, gap: '100ms' } }),
    );
    await sender.run();
    await until('two passes', 30_000, () => sender.log.includes('"pass":2,"of":2') || undefined);
    expect(sender.fibre.statements().get(1)?.bytes).toBe(content.a.length);
    expect(sender.fibre.whole().has(digestOf(content.a))).toBe(true);
    expect(sender.log.split('"msg":"pass sent"')).toHaveLength(3);
  });
});

it('a sender whose inbox is missing says so, and takes it up once it is there', { timeout: TIMEOUT_MS }, async () => {
  const sender = await Sender.start();
  renameSync(join(sender.dir, 'inbox-prod'), join(sender.dir, 'away'));
  await until('the failure to be told', 30_000, () => sender.log.includes('"code":"source-io"') || undefined);
  bundleAt(join(sender.dir, 'away/bundle'), { a: Buffer.from('a') });
  renameSync(join(sender.dir, 'away'), join(sender.dir, 'inbox-prod'));
  await arrived(sender, 1);
});
