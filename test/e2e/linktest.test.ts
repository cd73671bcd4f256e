import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import { freePort, NODE_RELAY, Program } from '../world/processes.ts';
import { MAIN, NODE } from '../world/world.ts';

interface Step {
  readonly received: number;
  readonly lost: number;
  readonly loss: number;
  readonly bitsPerSecond: number;
  readonly reordered: number;
  readonly blocks: number;
  readonly blocksWhole: number;
}
interface Report {
  readonly symbolBytes: number;
  readonly steps: readonly Step[];
  readonly advice: { readonly bitsPerSecond: number; readonly profile: string };
}

const LOSS = 0.02;

describe('sluice linktest', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-linktest-'));
  const programs: Program[] = [];
  afterAll(async () => {
    for (const program of programs) await program.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const run = (name: string, argv: readonly string[]): Program => {
    const program = new Program(name, argv, join(dir, `${name}.log`));
    programs.push(program);
    return program;
  };
  const sluice = (...args: string[]): string =>
    execFileSync(NODE, [MAIN, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

  it('measures at each rate what the link loses, and recommends accordingly', async () => {
    const [port, relayPort] = [await freePort(), await freePort()];
    const key = join(dir, 'test.link');
    sluice('keys', 'link', '--out', key);
    const words = ['--listen', String(relayPort), '--to', String(port), '--loss', String(LOSS), '--reorder', '0.01'];
    run('relay', [...NODE_RELAY, ...words, '--distance', '20', '--seed', '3']);
    const receiver = run('receive', [
      ...[NODE, MAIN, 'linktest', 'receive', '--json', '--host', '127.0.0.1', '--port', String(port)],
      ...['--key', key, '--quiet', '2s'],
    ]);
    await receiver.line(/listening on port/);
    const rates = ['--rates', '10M,20M,40M', '--step', '1s'];
    const sent = JSON.parse(
      sluice('linktest', 'send', '--json', '--key', key, ...rates, `127.0.0.1:${String(relayPort)}`),
    ) as {
      steps: { datagrams: number; rate: number }[];
    };
    const [line = ''] = await receiver.line(/^\{"io".*$/m);
    const report = JSON.parse(line) as Report;
    expect(report.symbolBytes).toBe(1408);
    expect(report.steps).toHaveLength(3);
    for (const [i, step] of report.steps.entries()) {
      const { datagrams = 0, rate = 0 } = sent.steps[i] ?? {};
      // What is lost behind the last one that came is not known there.
      expect(step.received + step.lost).toBeLessThanOrEqual(datagrams);
      expect(step.received + step.lost).toBeGreaterThan(datagrams - 10);
      const deviation = Math.sqrt((LOSS * (1 - LOSS)) / datagrams);
      expect(Math.abs(step.loss - LOSS)).toBeLessThan(5 * deviation);
      expect(step.reordered).toBeGreaterThan(0);
      // No faster than it was sent; how much slower, a busy machine decides.
      expect(step.bitsPerSecond).toBeLessThan(rate * 1.1);
      expect(step.blocks).toBeGreaterThan(0);
      expect(step.blocksWhole).toBe(step.blocks);
    }
    // 2 % that every rate has: the code makes up for it, the rate is not to blame.
    expect(report.advice.bitsPerSecond).toBe(Math.max(...report.steps.map(({ bitsPerSecond }) => bitsPerSecond)));
    expect(report.advice.profile).not.toBe('robust');
  });
});
