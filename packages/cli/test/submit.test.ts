import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { EXIT } from '@sluice/base';
import { Sender } from '../../sender/test/daemon.ts';
import { releaseOf } from '../../sender/test/inputs.ts';
import { running, scratch, sluice } from './sluice.ts';

const TIMEOUT_MS = 60_000;
const MIB = 2 ** 20;

describe('submit', { timeout: TIMEOUT_MS }, () => {
  it('hands over a bundle under any name of its release, and prints what became of it', async () => {
    const sender = await Sender.start();
    const dir = scratch();
    const socket = ['--socket', join(sender.dir, 'sockets/control')];
    const files = { 'a.bin': randomBytes(400_000), 'b.txt': Buffer.from('b') };
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(dir, name), bytes);
    writeFileSync(join(dir, 'approved.json'), releaseOf(files));
    const paths = Object.keys(files).map((name) => join(dir, name));
    const sealed = await running(
      'submit',
      ...socket,
      '--channel',
      'lab',
      '--name',
      'first',
      '--release',
      join(dir, 'approved.json'),
      ...paths,
    );
    expect(sealed).toMatchObject({ status: EXIT.ok, err: '' });
    expect(JSON.parse(sealed.out)).toMatchObject({ status: 'sealed', channel: 'lab', sequence: 1 });

    const bare = await running('submit', ...socket, '--channel', 'prod', '--name', 'bare', ...paths);
    expect(bare.status).toBe(EXIT.failed);
    expect(JSON.parse(bare.out)).toMatchObject({ status: 'refused', code: 'release-missing' });
    expect(sender.refused()).toEqual({ bare: 'release-missing' });
  });

  it('prints the answer at once when it comes before all is sent', async () => {
    const sender = await Sender.start();
    const dir = scratch();
    writeFileSync(join(dir, 'large'), Buffer.alloc(80 * MIB));
    const started = performance.now();
    const { status, out, err } = await running(
      'submit',
      '--socket',
      join(sender.dir, 'sockets/control'),
      '--channel',
      'nowhere',
      join(dir, 'large'),
    );
    expect({ status, err }).toEqual({ status: EXIT.failed, err: '' });
    expect(out).toContain('There is no channel \\"nowhere\\"; channels are prod, lab.');
    expect(performance.now() - started).toBeLessThan(TIMEOUT_MS / 2);
  });

  it('sends no more once it is answered, to whoever does not read on', async () => {
    const dir = scratch();
    writeFileSync(join(dir, 'large'), Buffer.alloc(8 * MIB));
    const server = createServer((socket) => {
      socket.once('data', () => {
        socket.pause();
        socket.write('HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\nno');
      });
    });
    await new Promise<void>((resolve) => server.listen(join(dir, 'socket'), resolve));
    const ended = await running('submit', '--socket', join(dir, 'socket'), join(dir, 'large'));
    expect(ended).toEqual({ status: EXIT.failed, out: 'no\n', err: '' });
    server.close();
  });

  it('names what it cannot read as such, and what the other side would refuse, before anything is kept there', async () => {
    const sender = await Sender.start();
    const dir = scratch();
    mkdirSync(join(dir, 'bundle'));
    writeFileSync(join(dir, 'bundle/a'), Buffer.alloc(MIB));
    symlinkSync('/etc/passwd', join(dir, 'bundle/z'));
    const socket = ['--socket', join(sender.dir, 'sockets/control'), '--channel', 'prod'];
    for (const paths of [[join(dir, 'bundle')], [join(dir, 'none')], [join(dir, 'bundle/a'), join(dir, 'bundle/a')]]) {
      const { status, out, err } = await running('submit', ...socket, ...paths);
      expect({ status, out }).toEqual({ status: EXIT.failed, out: '' });
      expect(err).toMatch(/^sluice: [^\n]* \(submit-input\)\n$/);
    }
    expect(sender.refused()).toEqual({});
    expect(sender.fibre.statements().size).toBe(0);
  });

  it('says so when no sender runs', () => {
    const dir = scratch();
    writeFileSync(join(dir, 'a'), 'a');
    writeFileSync(join(dir, 'socket'), 'none');
    for (const socket of ['none', 'socket']) {
      const { status, err } = sluice('submit', '--socket', join(dir, socket), join(dir, 'a'));
      expect(status).toBe(EXIT.failed);
      expect(err).toMatch(/is the sender running, and may you open the socket\? \(control-socket\)\n$/);
    }
  });
});
