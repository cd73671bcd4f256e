import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../harbor/needs.ts';
import type { Daemon } from '../world/configs.ts';
import { World } from '../world/world.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const PROMETHEUS = join(REPOSITORY, 'deploy/prometheus');
const read = (path: string): string => readFileSync(join(REPOSITORY, path), 'utf8');

const rules = read('deploy/prometheus/sluice.rules.yml');
const ruleTests = read('deploy/prometheus/sluice.rules.test.yml');
const page = read('docs/OPERATING.md');
const dashboard = JSON.parse(read('deploy/grafana/sluice.json')) as Dashboard;

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}
interface Dashboard {
  readonly panels: readonly Panel[];
}

const alerts = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name = '']) => name);
const ruleExpressions = [...rules.matchAll(/^ +expr: (.+)$/gm)].map(([, expr = '']) => expr);
const panelExpressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** Names of metrics in PromQL: what stands before a selector or an operator, and is no function or keyword. */
const metricsIn = (expression: string): string[] =>
  [...expression.replace(/"[^"]*"/g, '').matchAll(/\b(sluice_\w+|process_\w+|nodejs_\w+|up)\b/g)].map(([name]) => name);

const absent = missing('promtool');

describe('the alerts', () => {
  it('are one for each section of docs/OPERATING.md, in its order', () => {
    const [, section = ''] = page.split('\n### Alerts\n');
    const sections = [...(section.split(/\n## /)[0] ?? '').matchAll(/^#### (\w+)$/gm)].map(([, name = '']) => name);
    expect(sections).toEqual(alerts);
    expect(new Set(alerts).size).toBe(alerts.length);
    expect(alerts.length).toBeGreaterThan(15);
  });

  it('point to their sections, and say how bad they are', () => {
    const each = rules.split(/^ +- alert: /m).slice(1);
    for (const [i, text] of each.entries()) {
      expect(text).toContain(`runbook: docs/OPERATING.md#${(alerts[i] ?? '').toLowerCase()}\n`);
      expect(text).toMatch(/labels: \{ severity: (critical|warning) \}/);
    }
  });

  it('have each a test in which it fires, and one in which it does not', () => {
    const fired = [...ruleTests.matchAll(/alertname: (\w+)\n +exp_alerts:\n +- exp_labels/g)].map(([, name]) => name);
    const quiet = [...ruleTests.matchAll(/alertname: (\w+), exp_alerts: \[\]/g)].map(([, name]) => name);
    expect([...new Set(fired)].toSorted()).toEqual(alerts.toSorted());
    expect([...new Set(quiet)].toSorted()).toEqual(alerts.toSorted());
  });
});

describe.skipIf(absent !== undefined)(`promtool${absent === undefined ? '' : `: ${absent} is not installed`}`, () => {
  const promtool = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8', cwd: PROMETHEUS });
    return { status, said: stdout + stderr };
  };

  it('finds nothing wrong with the rules', () => {
    expect(promtool('check', 'rules', '--lint=all', '--lint-fatal', 'sluice.rules.yml')).toEqual({
      status: 0,
      said: expect.stringContaining(`SUCCESS: ${String(alerts.length)} rules found`) as unknown,
    });
  });

  it('sees them fire and be quiet as their tests say', () => {
    const { status, said } = promtool('test', 'rules', 'sluice.rules.test.yml');
    expect([status, said]).toEqual([0, expect.stringMatching(/SUCCESS\n*$/)]);
  });

  it('can read every expression of the dashboard', () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-dashboard-'));
    const file = join(dir, 'dashboard.rules.json');
    const records = panelExpressions.map((expr, i) => ({
      record: `panel:${String(i)}`,
      expr: expr.replaceAll('$__rate_interval', '5m'),
    }));
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: records }] }));
    try {
      expect(promtool('check', 'rules', '--lint=none', file)).toMatchObject({ status: 0 });
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('the dashboard', () => {
  it('has no two panels in one place, and a title on each', () => {
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${String(x + (i % w))},${String(y + Math.floor(i / w))}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    for (const { title, gridPos } of dashboard.panels) {
      expect(title).not.toBe('');
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    }
  });
});

describe('every metric of rules and dashboard', () => {
  const DAEMONS: readonly Daemon[] = ['sender', 'receiver', 'importer'];
  let world: World;
  let dir = '';
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'sluice-alerts-'));
    world = await World.create({ dir });
    // Without Redis, registries or a partner: they start all the same.
    for (const daemon of DAEMONS) await world.start(daemon);
  });
  afterAll(async () => {
    await world.stop();
    rmSync(dir, { recursive: true });
  });

  it('is one that a daemon really has', async () => {
    const texts = await Promise.all(DAEMONS.map(async (each) => (await fetch(world.url(each, '/metrics'))).text()));
    const told = new Set(
      texts.flatMap((text) =>
        [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].flatMap(([, name = '', type]) =>
          type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
        ),
      ),
    );
    // Prometheus' own, of whether a target answers.
    told.add('up');
    const wanted = [...new Set([...ruleExpressions, ...panelExpressions].flatMap(metricsIn))];
    expect(wanted.filter((name) => !told.has(name))).toEqual([]);
    expect(wanted.length).toBeGreaterThan(20);
  });

  it('begins at 0 where it counts what should never happen: else its first count would be no growth', async () => {
    const [sender = '', receiver = '', importer = ''] = await Promise.all(
      DAEMONS.map(async (each) => (await fetch(world.url(each, '/metrics'))).text()),
    );
    expect(sender).toContain('sluice_sender_refused_inputs_total{code="release-missing"} 0\n');
    expect(receiver).toContain('sluice_receiver_alarms_total{code="receipt-forged"} 0\n');
    expect(receiver).toContain('sluice_receiver_alarms_total{code="epoch-went-back"} 0\n');
    expect(receiver).toContain('sluice_link_datagrams_total{verdict="bad-tag"} 0\n');
    expect(receiver).toContain('sluice_health_check_status{check="queue:redis"} 1\n');
    expect(importer).toContain('sluice_importer_alarms_total{code="job-malformed"} 0\n');
    expect(importer).toContain('sluice_importer_alarms_total{code="digest-mismatch"} 0\n');
  });
});
