import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hexOf } from '@sluice/ports';
import { openS3Store, type S3Options } from '@sluice/store';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Ceph, cephMissing, startCeph } from '../../../test/env/ceph.ts';
import { blobOf, digestOf } from './blobs.ts';
import { all, contract, errorOf, MIB, streamOf, type Subject } from './contract.ts';

const START_MS = 60_000;
/** Shorter than a daemon's, for services that do not answer. */
const TIMEOUTS = { connect: 500, idle: 300 };
/** Three tries with both timeouts and the waits in between. */
const BOUND_MS = 5000;
const UNREACHABLE = { code: 'store-unreachable', retryable: true };

const absent = cephMissing();

describe.skipIf(absent !== undefined)(
  `a store in a bucket of Ceph${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-s3-'));
    let ceph: Ceph;
    let prefixes = 0;
    const servers: { close(): void }[] = [];

    beforeAll(async () => {
      ceph = await startCeph(join(dir, 'ceph'));
      await ceph.makeBucket('blobs');
    }, START_MS);
    afterAll(async () => {
      await ceph.stop();
      rmSync(dir, { recursive: true, force: true });
    });
    afterEach(() => {
      for (const server of servers.splice(0)) server.close();
    });

    const optionsOf = (more: Partial<S3Options> = {}): S3Options => {
      const { endpoint, credentials } = ceph;
      const prefix = `run-${String(prefixes)}/`;
      return { endpoint, credentials, bucket: 'blobs', prefix, region: 'us-east-1', ...more };
    };
    /** In a new prefix. */
    const open = (more: Partial<S3Options> = {}): Promise<Subject> => {
      prefixes += 1;
      const options = optionsOf(more);
      return Promise.resolve({
        store: openS3Store(options),
        scratch: mkdtempSync(join(dir, 'scratch-')),
        exchange: async (digest, Body) => {
          const Key = `${options.prefix}blobs/sha256/${hexOf(digest)}`;
          await ceph.client.send(new PutObjectCommand({ Bucket: 'blobs', Key, Body }));
        },
        leftovers: async () => {
          const where = { Bucket: 'blobs', Prefix: options.prefix };
          const { Uploads = [] } = await ceph.client.send(new ListMultipartUploadsCommand(where));
          return Uploads.map(({ Key = '' }) => Key);
        },
      });
    };

    /** A server in front of the gateway, or instead of it: `serve` gets each connection. Its address. */
    async function serve(handle: (socket: Socket) => void): Promise<string> {
      const sockets = new Set<Socket>();
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => socket.destroy());
        handle(socket);
      }).listen(0, '127.0.0.1');
      servers.push({
        close: () => {
          for (const socket of sockets) socket.destroy();
          server.close();
        },
      });
      await once(server, 'listening');
      return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    }

    /** The gateway, each piece of what it receives and sends handed to a hook first; undefined is not passed on. */
    const between = (
      hooks: Partial<Record<'toS3' | 'fromS3', (piece: Buffer, client: Socket) => Buffer | undefined>>,
    ): Promise<string> =>
      serve((client) => {
        const gateway = connect(Number(new URL(ceph.endpoint).port), '127.0.0.1');
        gateway.on('error', () => client.destroy());
        for (const [from, to, hook] of [
          [client, gateway, hooks.toS3],
          [gateway, client, hooks.fromS3],
        ] as const) {
          from.on('data', (piece: Buffer) => {
            const passed = hook === undefined ? piece : hook(piece, client);
            if (passed !== undefined) to.write(passed);
          });
          from.on('close', () => to.destroy());
        }
      });

    contract(open);

    it('removes what the crash of an upload left when it next stores a large blob', async () => {
      const { store, leftovers } = await open();
      const { digest, bytes } = blobOf(17 * MIB);
      const Key = `run-${String(prefixes)}/blobs/sha256/${hexOf(digest)}`;
      await ceph.client.send(new CreateMultipartUploadCommand({ Bucket: 'blobs', Key }));
      expect(await leftovers()).toEqual([Key]);
      await store.put(digest, bytes.length, bytes);
      expect(await leftovers()).toEqual([]);
    });

    it('refuses a file with other bytes', async () => {
      const { store, scratch } = await open();
      const { bytes } = blobOf(1000);
      writeFileSync(join(scratch, 'file'), bytes);
      const { digest } = blobOf(1000, 1);
      expect(await errorOf(store.adopt(digest, 1000, join(scratch, 'file')))).toMatchObject({
        code: 'store-digest-mismatch',
      });
      expect(existsSync(join(scratch, 'file'))).toBe(true);
      expect(await store.stat(digest)).toBeUndefined();
    });

    it('lists more than one page', async () => {
      const { store } = await open();
      const blobs = Array.from({ length: 1005 }, (_, i) => blobOf(8, i));
      await store.putMany(blobs);
      const found: string[] = [];
      for await (const { digest } of store.list()) found.push(digest);
      expect(found).toEqual(blobs.map(({ digest }) => digest).sort());
    });

    it('keeps nothing whose bytes changed on the way', async () => {
      const endpoint = await between({
        toS3: (piece) => {
          const at = piece.indexOf('keep these bytes');
          if (at >= 0) piece[at] = 0x4b;
          return piece;
        },
      });
      const { store } = await open({ endpoint });
      const bytes = Buffer.from('please keep these bytes');
      const digest = digestOf(bytes);
      expect((await errorOf(store.put(digest, bytes.length, bytes))).code).toBe('store-io');
      expect(await openS3Store(optionsOf()).stat(digest)).toBeUndefined();
    });

    describe('when the service fails', () => {
      const { digest, bytes } = blobOf(5 * MIB);
      const calls = (options: Partial<S3Options>): Record<string, () => Promise<unknown>> => {
        const store = openS3Store(optionsOf(options));
        return {
          put: () => store.put(digest, bytes.length, bytes),
          putMany: () => store.putMany([{ digest, bytes }]),
          stat: () => store.stat(digest),
          read: async () => all(await store.read(digest)),
          readVerified: () => store.readVerified(digest, bytes.length),
          remove: () => store.remove(digest),
          list: async () => {
            for await (const each of store.list()) throw new Error(`listed ${each.digest}`);
          },
        };
      };
      /** Each call fails in bounded time; gives the errors' codes. */
      async function codes(
        options: Partial<S3Options>,
        without: readonly string[] = [],
      ): Promise<Record<string, string>> {
        const found: Record<string, string> = {};
        for (const [name, call] of Object.entries(calls(options))) {
          if (without.includes(name)) continue;
          const began = performance.now();
          const { code, retryable } = await errorOf(call());
          expect(performance.now() - began).toBeLessThan(BOUND_MS);
          expect(retryable).toBe(true);
          found[name] = code;
        }
        return found;
      }
      const every = (code: string): Record<string, string> =>
        Object.fromEntries(Object.keys(calls({})).map((name) => [name, code]));

      it('by not being there', async () => {
        const endpoint = await serve(() => undefined);
        for (const server of servers.splice(0)) server.close();
        expect(await codes({ endpoint })).toEqual(every('store-unreachable'));
      });

      it('by never answering', { timeout: 60_000 }, async () => {
        const endpoint = await serve((socket) => socket.resume());
        expect(await codes({ endpoint, timeouts: TIMEOUTS })).toEqual(every('store-unreachable'));
      });

      it('by answering nonsense', async () => {
        const endpoint = await serve((socket) => {
          socket.on('data', () => socket.end('HTTP/1.1 500 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\n<no>'));
        });
        expect(await codes({ endpoint })).toEqual(every('store-unreachable'));
      });

      it('by having no such bucket, which is not the same as having no such blob', async () => {
        // `stat` alone cannot tell.
        expect(await openS3Store(optionsOf({ bucket: 'nowhere' })).stat(digest)).toBeUndefined();
        const found = await codes({ bucket: 'nowhere' }, ['stat']);
        expect({ ...found, stat: 'store-io' }).toEqual(every('store-io'));
      });

      it('by not knowing us', async () => {
        expect(await codes({ credentials: { accessKeyId: 'NOBODY', secretAccessKey: 'nothing' } })).toEqual(
          every('store-io'),
        );
      });

      it.each(['silent', 'gone'])('by becoming %s in the middle of a blob', async (how) => {
        await open();
        await openS3Store(optionsOf()).put(digest, bytes.length, bytes);
        const sent = new WeakMap<Socket, number>();
        const endpoint = await between({
          fromS3: (piece, client) => {
            const total = (sent.get(client) ?? 0) + piece.length;
            sent.set(client, total);
            if (total < MIB) return piece;
            if (how === 'gone') client.destroy();
            return undefined;
          },
        });
        const { read, readVerified } = calls({ endpoint, timeouts: TIMEOUTS });
        for (const call of [read, readVerified]) {
          if (call === undefined) throw new Error('no call');
          const began = performance.now();
          expect(await errorOf(call())).toMatchObject(UNREACHABLE);
          expect(performance.now() - began).toBeLessThan(BOUND_MS);
        }
      });

      it('in the middle of an upload, and removes the parts when it is back', async () => {
        const { leftovers } = await open();
        const large = blobOf(40 * MIB);
        let [passed, cut] = [0, false];
        const endpoint = await between({
          toS3: (piece, client) => {
            passed += piece.length;
            if (passed > 20 * MIB) cut = true;
            if (cut) client.destroy();
            return cut ? undefined : piece;
          },
        });
        const store = openS3Store(optionsOf({ endpoint }));
        const call = store.put(large.digest, large.bytes.length, streamOf(large.bytes));
        expect(await errorOf(call)).toMatchObject(UNREACHABLE);
        expect(await leftovers()).toHaveLength(1);
        const back = openS3Store(optionsOf());
        await back.put(large.digest, large.bytes.length, streamOf(large.bytes));
        expect(digestOf(await all(await back.read(large.digest)))).toBe(large.digest);
        expect(await leftovers()).toEqual([]);
      });
    });
  },
);
