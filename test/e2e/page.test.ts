import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../harbor/needs.ts';
import { Chromium, type Tab } from '../rig/chromium.ts';
import { freePort, getJson, NODE_RELAY, Program, until } from '../world/processes.ts';
import { World } from '../world/world.ts';

const absent = missing('redis-server', 'docker-registry', 'chromium', 'promtool');
const MIB = 2 ** 20;
/** What a hostile name holds: markup, and an override of the direction of text. */
const MARKUP = '<img src=x onerror=document.body.remove()>';
const EVIL = `${MARKUP} \u202egpj`;
/** A terminal sequence as well: statements refuse it, directories take it. */
const WORSE = `${MARKUP}\u001b[31m\u202egpj`;
/** Where pictures are left for people to look at; nowhere without it. */
const PICTURES = process.env.SLUICE_SCREENSHOTS;
const SIDES = ['sender', 'receiver'] as const;
type Side = (typeof SIDES)[number];

describe.skipIf(absent !== undefined)(
  `the status pages${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-page-'));
    let world: World;
    let relay: Program;
    let chromium: Chromium;
    let tabs: Readonly<Record<Side, Tab>>;
    let startRelay: () => Program;

    beforeAll(async () => {
      const [linkPort, relayPort] = [await freePort(), await freePort()];
      world = await World.create({
        dir,
        linkPort,
        sendTo: { host: '127.0.0.1', port: relayPort },
        tune: ({ sender, receiver }) => {
          sender.link.rate = '30Mbit/s';
          sender.carousel = { passes: 2, gap: '12s' };
          const tickets = {
            keyFile: join(dir, 'keys/ticket.key.pem'),
            spoolDirectory: join(dir, 'spool'),
            controlSocket: join(dir, 'sockets/receiver.sock'),
          };
          Object.assign(receiver, { linkQuietAfter: '2s', tickets });
        },
      });
      const words = ['--listen', String(relayPort), '--to', String(linkPort), '--loss', '0.03', '--seed', '7'];
      startRelay = () => new Program('relay', [...NODE_RELAY, ...words], join(dir, 'logs/relay.log'));
      relay = startRelay();
      world.sluice('keys', 'generate', '--out', join(dir, 'keys/ticket'));
      await world.startServices();
      await world.startDaemons();
      chromium = await Chromium.start();
      tabs = {
        sender: await chromium.open(world.url('sender', '/')),
        receiver: await chromium.open(world.url('receiver', '/')),
      };
      for (const side of SIDES) await tabs[side].look(1280, 900, 'light');
    }, 120_000);

    afterAll(async () => {
      await chromium.stop();
      await relay.stop();
      await world.stop();
      rmSync(dir, { recursive: true, force: true });
    });

    /** Waits until an element says something; gives what it says. */
    const says = (side: Side, id: string, pattern: RegExp, deadlineMs = 30_000): Promise<string> => {
      let last = '';
      return until(`${side}'s #${id} to say ${String(pattern)}`, deadlineMs, async () => {
        last = await tabs[side].text(id);
        return pattern.test(last) ? last : undefined;
      }).catch((error: unknown) => {
        throw new Error(`${String(error)}; it says: ${last}`);
      });
    };

    /** Leaves pictures of both pages, on a screen and on a phone, by day and by night. */
    async function picture(name: string): Promise<void> {
      if (PICTURES === undefined) return;
      mkdirSync(PICTURES, { recursive: true });
      for (const side of SIDES) {
        await tabs[side].screenshot(join(PICTURES, `${name}-${side}.png`));
        await tabs[side].look(390, 844, 'dark');
        await tabs[side].screenshot(join(PICTURES, `${name}-${side}-phone.png`));
        await tabs[side].look(1280, 900, 'light');
      }
    }

    function submit(
      name: string,
      bytes: number,
      keys: readonly string[] = ['release'],
    ): { sequence: number; bundle: string } {
      const file = join(dir, 'input', `${randomBytes(4).toString('hex')}.bin`);
      writeFileSync(file, randomBytes(bytes));
      return world.submit(world.release(name, [file], keys), [file]);
    }

    /** The sender's page never claims what the sender cannot know. */
    async function claimsNothing(): Promise<void> {
      const { text, green } = await tabs.sender.value<{ text: string; green: string[] }>(`({
        text: document.body.innerText,
        green: [...document.querySelectorAll('[data-level=good]')].map((each) => each.id || each.closest('section').querySelector('h2').innerText),
      })`);
      expect(text).not.toMatch(/\b(delivered|complete|completed|arrived safely|received|imported)\b/i);
      expect(
        green.filter((place) => !['contact', 'overall', 'health-state', 'Health of this side'].includes(place)),
      ).toEqual([]);
    }

    it('idle: link up on one side, nothing claimed on the other', async () => {
      await says('receiver', 'link-state', /^Link up$/);
      expect(await tabs.receiver.level('link')).toBe('good');
      await says('receiver', 'contact', /^live$/);
      await says('receiver', 'flight-none', /Nothing is under way/);
      expect(await tabs.receiver.text('missing-part')).toBe('');
      expect(await tabs.receiver.text('channels')).toMatch(/prod\s+no bundle yet, none missing/);
      await says('receiver', 'far-state', /^idle$/);
      await says('receiver', 'far', /agrees/);
      await says('receiver', 'health-state', /checks/);
      await says('sender', 'link-state', /^Idle$/);
      expect(await tabs.sender.level('link')).toBe('unknown');
      await says('sender', 'link-detail', /whether they arrive is not known on this side/);
      await says('sender', 'far-state', /cannot be seen from here/);
      expect(await tabs.sender.text('lost-part')).toBe('');
      expect(await tabs.sender.text('margin-part')).toBe('');
      await claimsNothing();
      await picture('idle');
    });

    it('in transfer at loss: progress, ETA, throughput, losses; a hostile name is text; ten thousand idle streams do not matter', async () => {
      const { bundle } = submit(EVIL, 24 * MIB);
      const held: Socket[] = [];
      const refused = await flood(world.ports.receiverHttp, held);
      await says('sender', 'link-state', /^Sending$/);
      expect(await tabs.sender.level('link')).toBe('busy');
      await says('sender', 'flight', /sending, pass 1 of 2 · .* of 25 MB sent in this pass · \d+ s left/);
      await says('receiver', 'link-state', /^Receiving$/);
      expect(await tabs.receiver.level('link')).toBe('busy');
      const flight = await says(
        'receiver',
        'flight',
        /receiving, .* objects whole · .* of 25 MB received · \d+ s left/,
      );
      expect(flight).toContain(`prod 1 · ${MARKUP} \\u202egpj`);
      expect(await tabs.receiver.value(`document.querySelectorAll('img').length`)).toBe(0);
      const share = `document.querySelector('#flight progress').position`;
      expect(await tabs.receiver.value<number>(share)).toBeGreaterThan(0);
      await says('receiver', 'rates-now', /\d+ Mbit\/s/);
      await says('sender', 'rates-now', /\d+ Mbit\/s/);
      await says('receiver', 'lost-text', /^[1-9]\d* datagrams \([1-5]\.\d\d %\) lost/);
      await says('receiver', 'far-state', /^sending$/);
      await claimsNothing();
      await picture('transfer');
      expect(refused).toBeGreaterThan(9000);
      expect((await world.bundle(1, ['imported'], 60_000)).id).toBe(bundle);
      for (const socket of held) socket.destroy();
      await says('receiver', 'recent', /prod 1\s.*\\u202egpj\s+imported/);
      await says('receiver', 'margin-state', /./);
      await says('sender', 'flight', /sent, pass 1 of 2; the next pass follows|sending, pass 2 of 2/);
      await claimsNothing();
    });

    it('refused: what and why on each side, inert, with the check that says so', async () => {
      submit('signed by a stranger', 1000, ['other']);
      await says('receiver', 'refusals', /signer-unknown\s+prod 2/);
      await says('receiver', 'health-bad', /bundles:quarantined/);
      mkdirSync(join(dir, 'input/bare'));
      writeFileSync(join(dir, 'input/bare/x'), 'x');
      renameSync(join(dir, 'input/bare'), join(dir, 'inbox', WORSE));
      await says('sender', 'refusals', /release-missing/);
      expect(await tabs.sender.text('refusals')).toContain(`${MARKUP}\\u001b[31m\\u202egpj`);
      expect(await tabs.sender.value(`document.querySelectorAll('img').length`)).toBe(0);
      await says('sender', 'health-bad', /inputs:refused/);
      // The log is one line of JSON that no terminal obeys.
      const line = await until('the line of the log', 10_000, () =>
        world
          .program('sender')
          .output()
          .split('\n')
          .find((each) => each.includes('input refused')),
      );
      expect(line).not.toMatch(/[^\u0020-\u007e]/);
      expect((JSON.parse(line) as { input: string }).input).toContain(WORSE);
      await picture('refused');
    });

    it('link down: said in seconds, and up again', async () => {
      await relay.stop('SIGKILL');
      await says('receiver', 'link-state', /^Link down$/);
      expect(await tabs.receiver.level('link')).toBe('bad');
      await says('receiver', 'link-detail', /nothing authentic for \d+ s; the limit is 2 s/);
      await says('receiver', 'far-state', /when last heard of/);
      await says('receiver', 'health-bad', /link:freshness/);
      await says('receiver', 'overall', /^\d+ of \d+ checks$/);
      expect(await tabs.receiver.level('overall')).toBe('bad');
      expect(await tabs.receiver.value('document.title')).toBe('Link down · Sluice receiver');
      await claimsNothing();
      await picture('down');
    });

    it('bundle missing: named, with its ticket, on the isolated side only; gone when the next pass brings it', async () => {
      const { sequence } = submit('lost in the dark', 200_000);
      await says('sender', 'flight', new RegExp(`prod ${String(sequence)} · lost in the dark[^]*sent, pass 1 of 2`));
      relay = startRelay();
      await says('receiver', 'link-state', /^(Link up|Receiving)$/);
      await says(
        'receiver',
        'missing',
        new RegExp(`1 bundle not here: ${String(sequence)}\\s+${String(sequence)}: lost in the dark`),
      );
      await says('receiver', 'missing', new RegExp(`make a ticket here:\\s+sluice ticket prod/${String(sequence)}`));
      await says('receiver', 'channels', /1 missing/);
      await says('receiver', 'health-bad', /bundles:missing-prod/);
      expect(await tabs.sender.text('missing-part')).toBe('');
      await claimsNothing();
      await picture('missing');
      await world.bundle(sequence, ['imported'], 60_000);
      // All passes are over: that is all that this side may say.
      await says('sender', 'recent', /prod 1\s[^]*sent, pass 2 of 2/, 60_000);
      await claimsNothing();
      await until(
        'nothing to be missing',
        10_000,
        async () => (await tabs.receiver.text('missing-part')) === '' || undefined,
      );
    });

    it('a restart of the daemon: no contact is said, nothing old believed, and the page finds it again', async () => {
      await world.program('receiver').stop();
      await says('receiver', 'contact', /no contact with the daemon; what is shown is old/);
      expect([await tabs.receiver.text('link-state'), await tabs.receiver.level('link')]).toEqual([
        'Not known',
        'unknown',
      ]);
      expect(await tabs.receiver.value(`document.body.classList.contains('old')`)).toBe(true);
      await picture('no-contact');
      await world.start('receiver');
      await says('receiver', 'contact', /^live$/);
      await says('receiver', 'link-state', /^(Link up|Receiving)$/);
      expect(await tabs.receiver.value(`document.body.classList.contains('old')`)).toBe(false);
    });

    it('runs no script but its own, takes no markup, and asks nobody else', async () => {
      for (const side of SIDES) {
        const policy = (await fetch(world.url(side, '/'))).headers.get('content-security-policy') ?? '';
        expect(policy).toMatch(/default-src 'none'.*script-src 'self'.*frame-ancestors 'none'/);
        expect(policy).not.toMatch(/unsafe|https?:/);
        expect(tabs[side].complaints).toEqual([]);
        const asked = `performance.getEntriesByType('resource').every(({ name }) => name.startsWith(location.origin))`;
        expect(await tabs[side].value(asked)).toBe(true);
        const markup = `(() => { try { document.body.innerHTML = '<b>x</b>'; return 'taken'; } catch (error) { return error.name; } })()`;
        expect(await tabs[side].value(markup)).toBe('TypeError');
        const inline = `(() => { const script = document.createElement('script'); try { script.textContent = 'window.ran = 1'; document.body.append(script); } catch {} return window.ran; })()`;
        expect(await tabs[side].value(inline)).toBeUndefined();
      }
    });

    it.each(SIDES)('%s: WCAG AA by axe, light and dark, and usable on a phone', async (side) => {
      const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
      const tab = await chromium.open('about:blank');
      // Axe puts styles into the page, which the page's own policy forbids.
      await tab.send('Page.setBypassCSP', { enabled: true });
      await tab.send('Page.navigate', { url: world.url(side, '/') });
      await until('the page to be live', 20_000, async () => (await tab.text('contact')) === 'live' || undefined);
      await tab.value(`document.querySelector('details').open = true; ${axe}; 0`);
      for (const [width, scheme] of [
        [1280, 'light'],
        [1280, 'dark'],
        [360, 'light'],
        [360, 'dark'],
      ] as const) {
        await tab.look(width, 800, scheme);
        const found = await tab.value<unknown[]>(
          `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }).then(({ violations, passes }) =>
            passes.length < 10 ? ['axe looked at nothing'] : violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))`,
        );
        expect(found).toEqual([]);
        expect(await tab.value(`document.documentElement.scrollWidth <= window.innerWidth`)).toBe(true);
      }
    });

    it.each(SIDES)('%s: answers as its OpenAPI document says', async (side) => {
      interface Document {
        readonly openapi: string;
        readonly paths: Record<
          string,
          { get: { responses: Record<string, { content?: Record<string, { schema?: object }> }> } }
        >;
      }
      const document = await getJson<Document>(world.url(side, '/v1/openapi.json'));
      if (document === undefined) throw new Error('no document');
      expect(document.openapi).toBe('3.1.0');
      const ajv = new Ajv2020({
        allErrors: true,
        strictTypes: false,
        formats: { 'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/ },
      });
      const { items } = (await getJson<{ items: { id?: string; bundle?: string }[] }>(
        world.url(side, '/v1/bundles'),
      )) ?? {
        items: [],
      };
      const asked = new Set<string>();
      const ask = async (template: string, path: string, wanted?: number): Promise<unknown> => {
        asked.add(template);
        const response = await fetch(world.url(side, path));
        if (wanted !== undefined) expect([path, response.status]).toEqual([path, wanted]);
        const content = document.paths[template]?.get.responses[String(response.status)]?.content ?? {};
        const [type = ''] = (response.headers.get('content-type') ?? '').split(';');
        expect([path, Object.keys(content)]).toEqual([path, [type]]);
        const schema = content[type]?.schema;
        if (schema === undefined) {
          await response.body?.cancel();
          return undefined;
        }
        const body: unknown = await response.json();
        expect([path, ajv.validate(schema, body), ajv.errors]).toEqual([path, true, null]);
        return body;
      };
      for (const path of ['/livez', '/readyz', '/healthz', '/metrics', '/v1/status', '/v1/overview', '/v1/events'])
        await ask(path, path);
      for (const { id, bundle } of items) await ask('/v1/bundles/{id}', `/v1/bundles/${id ?? bundle ?? ''}`, 200);
      await ask('/v1/bundles/{id}', '/v1/bundles/sha256:0', 404);
      const first = (await ask('/v1/bundles', '/v1/bundles?channel=prod&limit=1', 200)) as {
        items: unknown[];
        next: string;
      };
      const second = (await ask('/v1/bundles', `/v1/bundles?limit=1&cursor=${first.next}`, 200)) as {
        items: unknown[];
      };
      expect([first.items, second.items]).toEqual([[items[0]], [items[1]]]);
      const state = side === 'sender' ? 'sent' : 'quarantined';
      const narrowed = (await ask('/v1/bundles', `/v1/bundles?state=${state}`, 200)) as { items: { state: string }[] };
      expect(new Set(narrowed.items.map((item) => item.state))).toEqual(new Set([state]));
      await ask('/v1/bundles', '/v1/bundles?state=nothing', 400);
      expect([...asked].sort()).toEqual(Object.keys(document.paths).sort());
    });

    it('tells the whole story of a bundle, from the statement to the digest at each site', async () => {
      const { items } = (await getJson<{ items: { id: string; sequence: number }[] }>(
        world.url('receiver', '/v1/bundles'),
      )) ?? { items: [] };
      const id = items.find(({ sequence }) => sequence === 1)?.id ?? '';
      interface Story {
        readonly events: readonly { readonly kind: string }[];
        readonly receipt: {
          readonly result: string;
          readonly artifacts: readonly { readonly sites: readonly unknown[] }[];
        };
      }
      const there = await getJson<Story>(world.url('receiver', `/v1/bundles/${id}`));
      expect(there?.events.map(({ kind }) => kind)).toEqual(['received', 'published', 'imported']);
      expect(there?.receipt).toMatchObject({ result: 'imported' });
      expect(there?.receipt.artifacts[0]?.sites.length).toBeGreaterThan(0);
      const here = await getJson<Story>(world.url('sender', `/v1/bundles/${id}`));
      // What the carousel sends beyond may have come by now.
      expect(here?.events.slice(0, 3).map(({ kind }) => kind)).toEqual(['sealed', 'pass', 'pass']);
    });

    it.each([...SIDES, 'importer' as const])('%s: its metrics pass promtool', async (daemon) => {
      const input = await (await fetch(world.url(daemon, '/metrics'))).text();
      const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
      expect([status, stdout + stderr]).toEqual([0, '']);
    });
  },
);

/** Opens 10,000 connections that ask for events and stay if they may; gives how many were refused. */
async function flood(port: number, held: Socket[]): Promise<number> {
  let refused = 0;
  const one = async (): Promise<void> => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    held.push(socket);
    socket.write('GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n');
    const first = await new Promise<Buffer | undefined>((resolve) => {
      socket.once('data', resolve);
      socket.once('close', () => {
        resolve(undefined);
      });
    });
    if (first?.toString('latin1').startsWith('HTTP/1.1 200') !== true) refused += 1;
  };
  for (let made = 0; made < 10_000; made += 200) await Promise.all(Array.from({ length: 200 }, one));
  return refused;
}
