import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeConfig, type Schema } from '../../packages/base/src/index.ts';
import { importerConfig } from '../../packages/importer/src/index.ts';
import { linkConfig } from '../../packages/link/src/index.ts';
import { receiverConfig } from '../../packages/receiver/src/index.ts';
import { senderConfig } from '../../packages/sender/src/index.ts';
import type { Daemon } from '../world/configs.ts';
import { getJson } from '../world/processes.ts';
import { World } from '../world/world.ts';
import { LINK_NUMBERS } from '../../packages/receiver/src/metrics.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/OPERATING.md'), 'utf8');

const SCHEMAS: Readonly<Record<string, Schema<unknown>>> = {
  sender: senderConfig,
  link: linkConfig,
  receiver: receiverConfig,
  importer: importerConfig,
};

describe('docs/OPERATING.md', () => {
  it.each(Object.keys(SCHEMAS))('lists every key of %s.json as the code has it', (daemon) => {
    const table = new RegExp(`<!-- config ${daemon} -->\\n\\n([\\s\\S]*?)\\n\\n<!-- end -->`).exec(page)?.[1];
    const schema = SCHEMAS[daemon];
    if (schema === undefined) throw new Error('no schema');
    expect(table).toBe(describeConfig(schema).trim());
  });

  it('points to places that it has', () => {
    const places = [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, '')
        .replaceAll(' ', '-'),
    );
    const wanted = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, place]) => place);
    expect(wanted.filter((place) => !places.includes(place ?? ''))).toEqual([]);
    expect(wanted.length).toBeGreaterThan(10);
  });
});

/** The first two cells of the rows below a heading. */
function pairs(heading: string): string[] {
  const [, rest = ''] = page.split(`\n### ${heading}\n`);
  const [section = ''] = rest.split(/\n##/);
  return [...section.matchAll(/^\| (\w+) \| `([^`]+)`/gm)]
    .map(([, daemon = '', name = '']) => `${daemon} ${name}`)
    .sort();
}

/** Health report as far as it is looked at here. */
interface Report {
  readonly checks: Readonly<Record<string, unknown>>;
}

describe('what the daemons say of themselves is in docs/OPERATING.md', () => {
  const DAEMONS: readonly Daemon[] = ['sender', 'receiver', 'importer'];
  let world: World;
  let dir = '';
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'sluice-operating-'));
    const chunkLog = { directory: join(dir, 'chunks'), keyFile: join(dir, 'keys/receipt.key.pem') };
    world = await World.create({
      dir,
      tune: ({ receiver }) => {
        const canary = { channel: 'prod', release: `sha256:${'0'.repeat(64)}` };
        Object.assign(receiver, { canary, chunkLog });
      },
    });
    // Without Redis, registries or a partner: they start all the same.
    for (const daemon of DAEMONS) await world.start(daemon);
  });
  afterAll(async () => {
    await world.stop();
    rmSync(dir, { recursive: true });
  });

  /** All checks, and those that gate a question. */
  async function checks(path: '/healthz' | '/readyz' | '/livez'): Promise<string[]> {
    const found: string[] = [];
    for (const daemon of DAEMONS) {
      const report = await getJson<Report>(world.url(daemon, path));
      for (const name of Object.keys(report?.checks ?? {})) {
        const general = name.replace(/-prod$/, '-CHANNEL').replace(/^registry:.*/, 'registry:SITE');
        found.push(`${daemon} ${general}`);
      }
    }
    return [...new Set(found)].sort();
  }

  it('every health check', async () => {
    expect(await checks('/healthz')).toEqual(pairs('Health checks'));
  });

  it('which checks stand for live and ready', async () => {
    const answers = (answer: string): string[] =>
      [...page.matchAll(/^\| (\w+) \| `([^`]+)` \| (\w+) \|/gm)].flatMap(([, daemon = '', name = '', given]) =>
        given === answer ? [`${daemon} ${name}`] : [],
      );
    expect(await checks('/livez')).toEqual(answers('live'));
    // What must live must be ready too.
    expect(await checks('/readyz')).toEqual([...answers('live'), ...answers('ready')].sort());
  });

  it('every metric', async () => {
    const found: string[] = [];
    for (const daemon of DAEMONS) {
      const text = await (await fetch(world.url(daemon, '/metrics'))).text();
      for (const [, name = ''] of text.matchAll(/^# HELP (sluice_\w+)/gm)) found.push(`${daemon} ${name}`);
    }
    expect(found.sort()).toEqual(pairs('Metrics'));
  });

  it('every number of link, as a metric', async () => {
    interface Status {
      readonly link: { readonly numbers: Readonly<Record<string, number>> };
    }
    await expect
      .poll(async () => Object.keys((await getJson<Status>(world.url('receiver', '/v1/status')))?.link.numbers ?? {}), {
        timeout: 20_000,
      })
      .not.toEqual([]);
    const status = await getJson<Status>(world.url('receiver', '/v1/status'));
    expect(Object.keys(status?.link.numbers ?? {}).sort()).toEqual(Object.keys(LINK_NUMBERS).sort());
  });
});
