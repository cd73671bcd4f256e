import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findBundle } from '../src/bundles.ts';
import { Daemon, serverEvents } from '../src/look.ts';
import { sluice } from './sluice.ts';

async function* inPieces(text: string, size: number): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += size) yield await Promise.resolve(text.slice(at, at + size));
}

describe('server-sent events', () => {
  it('are the same however the stream is cut, and comments and retries are none', async () => {
    const text =
      'retry: 2000\n\nid: 7\nevent: entry\ndata: {"a":1}\n\n: hi\n\nevent: overview\ndata: {"b":2}\n\nevent: entry\ndata: cut off';
    for (const size of [1, 2, 3, 7, 1000]) {
      expect(await Array.fromAsync(serverEvents(inPieces(text, size)))).toEqual([
        { event: 'entry', data: '{"a":1}' },
        { event: 'overview', data: '{"b":2}' },
      ]);
    }
  });
});

/** A daemon that answers as this function says. */
async function answering(
  answer: (url: string) => { readonly status?: number; readonly body: string },
): Promise<Daemon> {
  const server: Server = createServer((request, response) => {
    const { status = 200, body } = answer(request.url ?? '');
    response.writeHead(status).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return Daemon.find({ at: `127.0.0.1:${String((server.address() as AddressInfo).port)}` });
}

const bundle = (channel: string, sequence: number, digit: string) => ({
  ...{ channel, sequence, id: `sha256:${digit.repeat(64)}`, name: '', state: 'imported', bytes: 1 },
});

describe('the daemon that is asked', () => {
  it('refuses in its own words, or by its status where it has none', async () => {
    const daemon = await answering((url) =>
      url === '/said' ? { status: 400, body: '{"detail":"There is no such thing."}' } : { status: 500, body: '<html>' },
    );
    await expect(daemon.get('/said')).rejects.toThrow(/^http:.*: There is no such thing\.$/);
    await expect(daemon.get('/other')).rejects.toThrow(/it answered with status 500$/);
  });

  it('that is not well is listened to all the same', async () => {
    const daemon = await answering(() => ({ status: 503, body: '{"status":"fail"}' }));
    expect(await daemon.get('/healthz')).toEqual({ status: 'fail' });
  });

  it('is looked for on this host where none is named, and it says where', () => {
    const { status, err } = sluice('status', '--at', '127.0.0.1:9');
    expect([status, err]).toEqual([1, expect.stringMatching(/^sluice: http:\/\/127\.0\.0\.1:9 does not answer .*\n$/)]);
  });
});

describe('a bundle is found', () => {
  it('over all pages, by number, channel and number, or the beginning of its id; what is not one bundle is refused', async () => {
    const pages = [
      { items: [bundle('prod', 3, 'a'), bundle('lab', 3, 'b')], next: '2' },
      { items: [bundle('prod', 2, 'c'), bundle('prod', 0, 'd')] },
    ];
    const daemon = await answering((url) => {
      const query = new URL(url, 'http://x').searchParams;
      const { items, next } = pages[query.has('cursor') ? 1 : 0] ?? { items: [] };
      const channel = query.get('channel');
      return {
        body: JSON.stringify({ items: items.filter((each) => (channel ?? each.channel) === each.channel), next }),
      };
    });
    const id = (digit: string): string => `sha256:${digit.repeat(64)}`;
    expect(await findBundle(daemon, 'prod/3')).toBe(id('a'));
    expect(await findBundle(daemon, 'lab/3')).toBe(id('b'));
    expect(await findBundle(daemon, '2')).toBe(id('c'));
    expect(await findBundle(daemon, 'cccccc')).toBe(id('c'));
    expect(await findBundle(daemon, id('f'))).toBe(id('f'));
    await expect(findBundle(daemon, '3')).rejects.toThrow(
      /3 may be prod\/3 \(sha256:a+\) or lab\/3 \(sha256:b+\); say which/,
    );
    await expect(findBundle(daemon, 'prod/9')).rejects.toThrow(/there is no bundle prod\/9 at http/);
    await expect(findBundle(daemon, 'ccc')).rejects.toThrow(/"ccc" names no bundle/);
  });

  it('that has not come at all is named as missing, with the command that asks for it', async () => {
    const channels = [{ name: 'lab' }, { name: 'prod', missing: [4] }];
    const daemon = await answering((url) => ({
      body: JSON.stringify(url === '/v1/status' ? { channels } : { items: [] }),
    }));
    const asks = /^prod\/4 was sent, and nothing of it has come to http:.*; "sluice ticket prod\/4" asks for it$/;
    await expect(findBundle(daemon, 'prod/4')).rejects.toThrow(asks);
    await expect(findBundle(daemon, '4')).rejects.toThrow(asks);
    await expect(findBundle(daemon, 'lab/4')).rejects.toThrow(/^there is no bundle lab\/4 at http/);
    await expect(findBundle(daemon, 'prod/5')).rejects.toThrow(/^there is no bundle prod\/5 at http/);
  });
});
