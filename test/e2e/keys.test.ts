import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTsi } from '../../packages/alc/src/index.ts';
import { Feed } from '../../packages/link/test/feed.ts';
import { linkKeyId, makeKeyPair, makeLinkKey } from '../../packages/trust/src/index.ts';
import { missing } from '../harbor/needs.ts';
import { until } from '../world/processes.ts';
import { MAIN, NODE, World } from '../world/world.ts';

const absent = missing('redis-server');
const MIB = 2 ** 20;
const DAEMONS = ['sender', 'receiver', 'importer'] as const;
const OLD_KEY = randomBytes(32);
const NEW_KEY = randomBytes(32);
const REDIS_PASSWORD = randomBytes(18).toString('base64');

interface Status {
  readonly link: {
    readonly verdicts: Readonly<Record<string, number>>;
    readonly keys: readonly { readonly id: string; readonly asid: number; readonly datagrams: number }[];
  };
  readonly outbox: { readonly paused: boolean };
  readonly trust: { readonly policy: { readonly version: number } | null; readonly revoked: readonly string[] };
}

/** One pair through the life of its keys; each part goes on where the one before ended. */
describe.skipIf(absent !== undefined)(
  `keys and control${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-keys-'));
    const key = (name: string): string => join(dir, 'keys', name);
    const sockets = ['receiver', 'importer'].flatMap((name) => ['--socket', join(dir, `sockets/${name}.control`)]);
    const [receiverSocket] = [sockets.slice(0, 2)];
    /** All that the command printed, for the search at the end. */
    const printed: string[] = [];
    let world: World;

    beforeAll(async () => {
      world = await World.create({
        dir,
        tune: ({ sender, receiver, importer, link }) => {
          sender.link = { ...sender.link, rate: '20Mbit/s' };
          sender.carousel = { passes: 2, gap: '1s' };
          const [channel] = sender.channels;
          Object.assign(channel!, { nextLinkKey: { asid: 1, linkKeyFile: key('next.link') } });
          link.keys.push({ asid: 1, channel: 'prod', keyFile: key('next.link') });
          const trust = {
            rootKeyFiles: [key('root.pub.pem')],
            personKeyFiles: [key('eva.pub.pem'), key('finn.pub.pem')],
          };
          Object.assign(receiver, { trust, control: { socket: join(dir, 'sockets/receiver.control') } });
          Object.assign(importer, { trust, control: { socket: join(dir, 'sockets/importer.control') } });
          for (const daemon of [receiver, importer])
            Object.assign(daemon.redis, { passwordFile: key('redis.password') });
        },
      });
      writeFileSync(key('link.key'), OLD_KEY.toString('hex'), { mode: 0o600 });
      writeFileSync(key('next.link'), NEW_KEY.toString('hex'), { mode: 0o600 });
      writeFileSync(key('redis.password'), REDIS_PASSWORD, { mode: 0o600 });
      for (const name of ['root', 'eva', 'finn']) {
        const { privatePem, publicPem } = makeKeyPair('Ed25519');
        writeFileSync(key(`${name}.key.pem`), privatePem, { mode: 0o600 });
        writeFileSync(key(`${name}.pub.pem`), publicPem);
      }
      world.startRedis('--requirepass', REDIS_PASSWORD);
      await world.program('redis').line(/Ready to accept connections/);
      await world.startDaemons();
    });
    afterAll(async () => {
      await world.stop();
      rmSync(dir, { recursive: true, force: true });
    });

    const sluice = (...args: string[]): { readonly status: number | null; readonly out: string } => {
      const { status, stdout, stderr } = spawnSync(NODE, [MAIN, ...args], { encoding: 'utf8', maxBuffer: 2 ** 26 });
      printed.push(stdout, stderr);
      return { status, out: stdout + stderr };
    };
    const done = (...args: string[]): string => {
      const { status, out } = sluice(...args);
      expect([args.slice(0, 2).join(' '), status, status === 0 ? '' : out]).toEqual([
        args.slice(0, 2).join(' '),
        0,
        '',
      ]);
      return out;
    };
    const status = async (): Promise<Status> => (await world.get<Status>('receiver', '/v1/status'))!;
    const submit = (name: string, bytes: number, keys: readonly string[] = ['release']): number => {
      const file = join(dir, 'input', name);
      writeFileSync(file, randomBytes(bytes));
      return world.submit(world.release(`${name}-release`, [file], keys), [file]).sequence;
    };
    const reached = (sequence: number, state: string) => world.bundle(sequence, [state], 60_000);
    const controls = (daemon: 'sender' | 'receiver' | 'importer'): Record<string, unknown>[] => {
      const ledger = new DatabaseSync(join(dir, daemon, 'ledger.sqlite'), { readOnly: true });
      const rows = ledger
        .prepare("SELECT body FROM events WHERE json_extract(body, '$.action') IS NOT NULL ORDER BY seq")
        .all();
      ledger.close();
      return rows.map(({ body }) => JSON.parse(String(body)) as Record<string, unknown>);
    };
    const by = (reason: string) => ({ uid: process.getuid?.(), reason });

    it('the link key is changed under traffic, and no bundle is lost', async () => {
      const first = submit('under-way', 4 * MIB);
      await until('datagrams by the old key', 30_000, async () => {
        const [old] = (await status()).link.keys;
        return old!.datagrams > 200 || undefined;
      });
      const out = done('keys', 'switch', '--socket', join(dir, 'sockets/sender.sock'), '--reason', 'yearly', 'prod');
      expect(out).toContain(linkKeyId(NEW_KEY));
      const second = submit('after', MIB);
      for (const sequence of [first, second]) await reached(sequence, 'imported');
      // Link tells its counts once a second.
      const keys = await until('datagrams by both keys', 10_000, async () => {
        const { link } = await status();
        return link.keys.every(({ datagrams }) => datagrams > 500) ? link.keys : undefined;
      });
      expect(keys.map(({ id, asid }) => [id, asid])).toEqual([
        [linkKeyId(OLD_KEY), 0],
        [linkKeyId(NEW_KEY), 1],
      ]);
      expect(controls('sender')).toContainEqual({
        action: 'switch-link-key',
        value: linkKeyId(NEW_KEY),
        ...by('yearly'),
      });

      // A restart does not go back to the first key of the configuration.
      await world.program('sender').stop();
      await world.start('sender');
      const before = (await status()).link.keys.map(({ datagrams }) => datagrams);
      await reached(submit('after-restart', 1000), 'imported');
      const after = (await status()).link.keys.map(({ datagrams }) => datagrams);
      expect(after[0]).toBe(before[0]);
      expect(after[1]).toBeGreaterThan(before[1]!);
    });

    it('the old link key is ended from the isolated side, and what comes by it is refused and counted, over a restart too', async () => {
      done('keys', 'revoke', ...receiverSocket, '--reason', 'changed', linkKeyId(OLD_KEY).slice(0, 12));
      const socket = createSocket('udp4');
      const refused = async (): Promise<number> => (await status()).link.verdicts['key-ended'] ?? 0;
      // Were the key believed still, it would be refused as an old session.
      const feed = new Feed(makeTsi('live', 5), [
        makeLinkKey({ asid: 0, channel: 'prod', algorithm: 'HMAC-SHA-256-128', key: OLD_KEY }),
      ]);
      const offer = async (): Promise<number> => {
        for (const datagram of feed.heartbeat('{"v":1}')) socket.send(datagram, world.ports.link, '127.0.0.1');
        return refused();
      };
      await until('datagrams of the ended key to be refused', 30_000, async () => (await offer()) > 0 || undefined);
      // The receiver starts link anew with itself.
      await world.program('receiver').stop();
      await world.start('receiver');
      await until('the same after a restart', 30_000, async () => (await offer()) > 0 || undefined);
      socket.close();
      await reached(submit('by-the-new-key', 1000), 'imported');
    });

    it('imports wait while they are paused, also over the end of the receiver, and go on when told', async () => {
      done('pause', ...receiverSocket, '--reason', 'maintenance of the registry');
      const sequence = submit('waits', 1000);
      await reached(sequence, 'published');
      await world.program('receiver').stop('SIGKILL');
      await world.start('receiver');
      expect((await status()).outbox.paused).toBe(true);
      expect((await world.bundles()).find((bundle) => bundle.sequence === sequence)?.state).toBe('published');
      done('resume', ...receiverSocket, '--reason', 'registry is back');
      await reached(sequence, 'imported');
      expect(controls('receiver').map(({ action, uid, reason }) => [action, uid, reason])).toEqual(
        expect.arrayContaining([
          ['pause', process.getuid?.(), 'maintenance of the registry'],
          ['resume', process.getuid?.(), 'registry is back'],
        ]),
      );
    });

    it('a release key is revoked while both daemons run: nothing of it gets in from then on, and what it had signed is listed', async () => {
      done('pause', ...receiverSocket, '--reason', 'ada is away');
      const waiting = submit('signed-before', 1000);
      await reached(waiting, 'published');
      const out = done('keys', 'revoke', ...sockets, '--reason', 'laptop stolen', key('release.pub.pem'));
      const bundles = await world.bundles();
      for (const { id, sequence } of bundles) expect(out).toContain(`${id} prod/${String(sequence)}`);
      expect(out).toMatch(/ under-way sha256:[0-9a-f]{64} at \w+/);
      expect(out).toContain(`It had signed ${String(bundles.length)} bundles`);
      expect(await reached(waiting, 'quarantined')).toMatchObject({ code: 'key-revoked' });
      done('resume', ...receiverSocket, '--reason', 'done');

      const next = submit('signed-after', 1000);
      expect(await reached(next, 'quarantined')).toMatchObject({ code: 'key-revoked' });
      for (const daemon of ['receiver', 'importer'] as const) {
        await world.program(daemon).stop('SIGKILL');
        await world.start(daemon);
        expect(controls(daemon)).toContainEqual(expect.objectContaining({ action: 'revoke', ...by('laptop stolen') }));
      }
      expect(await reached(submit('signed-later', 1000), 'quarantined')).toMatchObject({ code: 'key-revoked' });
      expect(done('keys', 'list', ...sockets).match(/REVOKED/g)).toHaveLength(3);
      // There is no way past it.
      const again = sluice('quarantine', 'retry', ...receiverSocket, '--reason', 'please', `prod/${String(next)}`);
      expect([again.status, again.out]).toEqual([1, expect.stringContaining('(key-revoked)') as string]);
    });

    it('another key is believed only by a policy that root and two persons signed, and no older one after it', async () => {
      const policy = (version: number, by: readonly string[]): string => {
        const source = join(dir, 'input', `policy-${String(version)}.source.json`);
        const keys = [
          { name: 'sender', file: key('transport.pub.pem') },
          { name: 'bob', file: key('other.pub.pem') },
        ];
        const release = [{ role: 'release', signatures: 1, keys: [{ key: 'bob' }] }];
        writeFileSync(
          source,
          JSON.stringify({ version, keys, channels: [{ name: 'prod', transport: [{ key: 'sender' }], release }] }),
        );
        const file = join(dir, 'input', `policy-${String(version)}-${String(by.length)}.json`);
        writeFileSync(file, done('policy', 'create', source));
        for (const name of by) writeFileSync(file, done('policy', 'sign', '--key', key(`${name}.key.pem`), file));
        return file;
      };
      const adopt = (file: string) => sluice('policy', 'adopt', ...sockets, '--reason', 'bob follows ada', file);
      expect(adopt(policy(2, ['root', 'eva'])).out).toContain('(policy-unapproved)');
      const good = policy(2, ['root', 'eva', 'finn']);
      expect(adopt(good)).toMatchObject({ status: 0 });
      expect((await status()).trust.policy?.version).toBe(2);
      expect(adopt(policy(1, ['root', 'eva', 'finn'])).out).toContain('(policy-rollback)');
      await reached(submit('bobs', 1000, ['other']), 'imported');
      expect(done('policy', 'show', good)).toContain('release: 1 of bob');
    });

    it('no secret is in any log, answer, ledger or output of the command', async () => {
      const wrong = join(dir, 'wrong.json');
      writeFileSync(
        wrong,
        JSON.stringify({
          ...world.configs.sender,
          channels: [{ ...world.configs.sender.channels[0], linkKeyFile: key('transport.key.pem') }],
        }),
      );
      expect(sluice('sender', '--config', wrong).status).toBe(78);
      const outputs = [
        ...printed,
        ...readdirSync(join(dir, 'logs'))
          .filter((name) => name !== 'redis.log')
          .map((name) => readFileSync(join(dir, 'logs', name), 'latin1')),
      ];
      for (const daemon of DAEMONS) {
        for (const path of [
          '/v1/status',
          '/healthz',
          '/metrics',
          '/v1/bundles',
          '/v1/overview',
          '/v1/openapi.json',
          '/',
        ])
          outputs.push(await (await fetch(world.url(daemon, path))).text());
        for (const file of readdirSync(join(dir, daemon)).filter((name) => name.startsWith('ledger')))
          outputs.push(readFileSync(join(dir, daemon, file), 'latin1'));
      }
      const secrets: [name: string, bytes: Buffer][] = [
        ['old link key', OLD_KEY],
        ['new link key', NEW_KEY],
        ['Redis password', Buffer.from(REDIS_PASSWORD)],
        ['Harbor password', Buffer.from('Harbor12345')],
        ...['transport', 'release', 'other', 'receipt', 'root', 'eva', 'finn'].map((name): [string, Buffer] => {
          const pem = readFileSync(key(`${name}.key.pem`), 'utf8');
          // The private half of an Ed25519 key is the last 32 bytes of its PKCS #8 form.
          return [name, Buffer.from(pem.replaceAll(/-----[^-]*-----|\s/g, ''), 'base64').subarray(-32)];
        }),
      ];
      const found = secrets.flatMap(([name, bytes]) => {
        const forms = [bytes.toString('latin1'), bytes.toString('hex'), bytes.toString('hex').toUpperCase()];
        // In base64 the bytes may begin at any of three places.
        const shifted = [0, 1, 2].map((shift) =>
          Buffer.concat([Buffer.alloc(shift), bytes])
            .toString('base64')
            .slice(shift === 0 ? 0 : 4, -4),
        );
        return [...forms, ...shifted].some((form) => outputs.some((output) => output.includes(form))) ? [name] : [];
      });
      expect(found).toEqual([]);
      // The search finds what is there: the public ids are.
      expect(outputs.some((output) => output.includes(linkKeyId(OLD_KEY)))).toBe(true);
      expect(outputs.filter((output) => output.length > 1000).length).toBeGreaterThan(10);
    });
  },
);
