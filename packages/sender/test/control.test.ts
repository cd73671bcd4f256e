import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { tarHeader, tarTrailer } from '@sluice/bundle';
import { writeSubmitStream } from '@sluice/sources';
import { until } from '../../../test/world/processes.ts';
import { type Answer, Sender } from './daemon.ts';
import { bundleAt, digestOf, put, releaseOf } from './inputs.ts';

type Bytes = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

const TIMEOUT_MS = 60_000;
const MIB = 2 ** 20;
const CHUNK = Buffer.alloc(64 * 1024);

describe('the control socket', { timeout: TIMEOUT_MS }, () => {
  let sender: Sender;
  let pid = 0;
  beforeEach(async () => {
    sender = await Sender.start();
    ({ pid } = sender.program);
  }, TIMEOUT_MS);

  const submit = (query: string, bytes: Bytes): Promise<Answer> =>
    sender.post(`/v1/submit?${query}`, (to) => pipeline(Readable.from(bytes), to).catch(() => undefined));
  const bundle = (name: string, files: Record<string, Uint8Array>): Bytes =>
    writeSubmitStream([bundleAt(join(sender.dir, name), files)]);
  const tar = async function* (...pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
    for (const piece of pieces) yield await Promise.resolve(piece);
  };
  /** More than any socket buffer holds. */
  const endless = async function* (first: Uint8Array): AsyncGenerator<Uint8Array> {
    yield first;
    for (let sent = 0; sent < 64 * MIB; sent += CHUNK.length) yield await Promise.resolve(CHUNK);
  };
  const goesOn = async (): Promise<void> => {
    const good = await submit('channel=prod&name=good', bundle('good', { a: Buffer.from('a') }));
    expect(good).toMatchObject({ status: 200, body: { status: 'sealed', channel: 'prod', sequence: 1 } });
    expect(sender.program.pid).toBe(pid);
    expect(sender.program.ended).toBe(false);
    await until('the bundle on the fibre', 30_000, () => sender.fibre.statements().get(1));
  };

  it('is for its group only, and seals what it is handed', async () => {
    expect(statSync(join(sender.dir, 'sockets/control')).mode & 0o777).toBe(0o660);
    await goesOn();
    const { body } = await submit('channel=lab', bundle('next', { b: randomBytes(300_000) }));
    expect(body).toMatchObject({ status: 'sealed', channel: 'lab', sequence: 1 });
    expect((await until('it on the fibre', 30_000, () => sender.fibre.statements('lab').get(1))).id).toBe(body.bundle);
  });

  it('says which channels there are, and takes no name that would not be a file name', async () => {
    for (const query of ['channel=nowhere', 'name=x', 'channel=', 'channel=__proto__', 'channel=prod%2F..']) {
      const answer = await submit(query, bundle('a', { a: Buffer.from('a') }));
      expect(answer.status).toBe(404);
      expect(answer.body.detail).toContain('channels are prod, lab.');
    }
    for (const name of ['', '..%2Fup', 'a%2Fb', '%00', '%0A', '%20a', 'a'.repeat(101), '%ff', '*']) {
      const answer = await submit(`channel=prod&name=${name}`, bundle('a', { a: Buffer.from('a') }));
      expect(answer.status, name).toBe(400);
    }
    const twice = await submit('channel=prod&channel=lab', bundle('a', { a: Buffer.from('a') }));
    expect(twice.status).toBeGreaterThanOrEqual(400);
    expect(twice.status).toBeLessThan(500);
    expect(sender.refused()).toEqual({});
    expect(sender.working()).toEqual([]);
    await goesOn();
  });

  it('refuses what would be refused in an inbox, with code and sentence, and keeps it with its reason', async () => {
    const file = { path: 'motd', type: 'file', size: 5 } as const;
    const content = Buffer.concat([Buffer.from('hello'), Buffer.alloc(507)]);
    const hostile: [string, string, Bytes][] = [
      ['junk', 'tar-malformed', tar(randomBytes(4096))],
      ['outside', 'path-outside-root', tar(tarHeader({ ...file, path: '../up' }), content, tarTrailer())],
      ['twice', 'tar-malformed', tar(tarHeader(file), content, tarHeader(file), content, tarTrailer())],
      ['cut', 'tar-malformed', tar(tarHeader({ ...file, size: 5000 }), content)],
      ['nothing', 'tar-malformed', tar()],
      ['bare', 'release-missing', tar(tarHeader(file), content, tarTrailer())],
      [
        'digest',
        'digest-mismatch',
        writeSubmitStream([
          put(join(sender.dir, 'd'), { motd: 'olleh', 'release.dsse.json': releaseOf({ motd: Buffer.from('hello') }) }),
        ]),
      ],
    ];
    for (const [name, code, bytes] of hostile) {
      const answer = await submit(`channel=prod&name=${name}`, bytes);
      expect(answer).toMatchObject({ status: 422, body: { status: 'refused', code } });
      expect(sender.refused()[name]).toBe(code);
    }
    expect(sender.working()).toEqual([]);
    await goesOn();
  });

  it('tells the reason also to a caller who has far more to send', async () => {
    const link = Buffer.from(tarHeader({ path: 'link', type: 'file', size: 0 }));
    link[156] = '2'.charCodeAt(0);
    link.fill(' ', 148, 156);
    const sum = link.reduce((all, byte) => all + byte, 0);
    link.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    expect(await submit('channel=prod&name=link', endless(link))).toMatchObject({
      status: 422,
      body: { code: 'special-file' },
    });
    expect(await submit('channel=nowhere', endless(link))).toMatchObject({ status: 404 });
    expect(await submit('channel=prod&name=*', endless(link))).toMatchObject({ status: 400 });
    await goesOn();
  });

  it('keeps nothing of a caller who hangs up in the middle', async () => {
    const header = tarHeader({ path: 'large', type: 'file', size: 64 * MIB });
    for (let n = 0; n < 3; n += 1) {
      const socketPath = join(sender.dir, 'sockets/control');
      const sending = request({
        socketPath,
        path: '/v1/submit?channel=prod&name=half',
        method: 'POST',
        headers: { 'content-type': 'application/x-tar', host: 'localhost' },
      });
      sending.on('error', () => undefined);
      sending.write(header);
      for (let sent = 0; sent < 4 * MIB; sent += CHUNK.length) sending.write(CHUNK);
      await until('some of it to be taken', 30_000, () => sender.working().length === 1 || undefined);
      sending.destroy();
      await until('it to be thrown away', 30_000, () => sender.working().length === 0 || undefined);
    }
    expect(sender.refused()).toEqual({});
    await goesOn();
  });

  it('takes several at once, each whole and each once', async () => {
    const contents = Array.from({ length: 6 }, () => randomBytes(300_000));
    const answers = await Promise.all(
      contents.map((bytes, n) => submit(`channel=prod&name=n${n}`, bundle(`many-${n}`, { [`f${n}`]: bytes }))),
    );
    expect(answers.map(({ status }) => status)).toEqual(contents.map(() => 200));
    const sequences = answers.map(({ body }) => Number(body.sequence)).sort((a, b) => a - b);
    expect(sequences).toEqual([1, 2, 3, 4, 5, 6]);
    expect(new Set(answers.map(({ body }) => body.bundle)).size).toBe(6);
    await until('all on the fibre', 30_000, () => {
      const whole = sender.fibre.whole();
      return contents.every((bytes) => whole.has(digestOf(bytes))) || undefined;
    });
    for (const [sequence, { id }] of sender.fibre.statements()) {
      expect(answers.find(({ body }) => body.sequence === sequence)?.body.bundle).toBe(id);
    }
  });

  it('knows nothing but submit', async () => {
    const get = (path: string) => sender.post(path, (to) => void to.end());
    expect((await get('/v1/stop')).status).toBe(404);
    expect((await get('/')).status).toBe(404);
    expect(readdirSync(join(sender.dir, 'sockets'))).toEqual(['control']);
    await goesOn();
  });
});
