import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { createMetrics } from '../src/index.ts';

describe('metrics', () => {
  it("pass Prometheus' own linter, default metrics and ours", async ({ skip }) => {
    const version = spawnSync('promtool', ['--version']);
    skip(version.error !== undefined, 'promtool (Debian package prometheus) is not installed');
    const metrics = createMetrics();
    metrics
      .counter({ name: 'sluice_datagrams_total', help: 'Datagrams by outcome.', labels: ['code'] })
      .inc({ code: 'accepted' }, 3);
    metrics.gauge({ name: 'sluice_queue_bytes', help: 'Bytes queued.', collect: (gauge) => gauge.set(7) });
    metrics
      .histogram({ name: 'sluice_margin_ratio', help: 'FEC margin of each block.', buckets: [0.1, 0.5, 1] })
      .observe(0.4);
    const text = await metrics.text();
    expect(text).toContain('sluice_datagrams_total{code="accepted"} 3\n');
    expect(text).toContain('sluice_queue_bytes 7\n');
    expect(text).toContain('sluice_margin_ratio_bucket{le="0.5"} 1\n');
    expect(text).toContain('process_resident_memory_bytes');
    const lint = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect([lint.status, lint.stdout + lint.stderr]).toEqual([0, '']);
  });

  it('refuses names that the linter would refuse', () => {
    const metrics = createMetrics();
    const help = 'x';
    expect(() => metrics.counter({ name: 'sluice_datagrams', help })).toThrow(/_total/);
    expect(() => metrics.gauge({ name: 'sluice_datagrams_total', help })).toThrow(/_total/);
    expect(() => metrics.gauge({ name: 'datagrams', help })).toThrow(/must match/);
  });

  it('counts what is counted elsewhere, each scrape anew', async () => {
    const metrics = createMetrics();
    let elsewhere = { good: 3, bad: 1 };
    metrics.counter({
      name: 'sluice_elsewhere_total',
      help: 'x',
      labels: ['kind'],
      collect: (counter) => {
        for (const [kind, count] of Object.entries(elsewhere)) counter.inc({ kind }, count);
      },
    });
    await metrics.text();
    expect(await metrics.text()).toContain('sluice_elsewhere_total{kind="good"} 3\n');
    // The process that counts was begun anew.
    elsewhere = { good: 1, bad: 0 };
    const text = await metrics.text();
    expect(text).toContain('sluice_elsewhere_total{kind="good"} 1\n');
    expect(text).toContain('sluice_elsewhere_total{kind="bad"} 0\n');
  });

  it('are apart for each registry', async () => {
    const [one, two] = [createMetrics(), createMetrics()];
    one.counter({ name: 'sluice_one_total', help: 'x' }).inc();
    expect(await two.text()).not.toContain('sluice_one_total');
  });
});
