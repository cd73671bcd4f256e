import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { runGates, type Gate } from '../src/gates.ts';
import { digestOf, seal } from './bundles.ts';
import { expectRefused, Receiver, scratch } from './receiver.ts';

const subject = { bundle: digestOf(Buffer.from('b')), channel: 'prod', release: Buffer.from('the release envelope') };
const shell = (script: string, timeoutMs = 10_000, name = 'g'): Gate => ({
  name,
  command: ['sh', '-c', script],
  timeoutMs,
});
const run = async (...gates: readonly Gate[]) => runGates(gates, subject);
const one = async (gate: Gate) => (await run(gate))[0];

/** True while a process of this id runs. */
function runs(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

describe('a gate', () => {
  it('passes with status 0, and what it says first is kept', async () => {
    expect(await one(shell('echo clean; echo more'))).toEqual({ gate: 'g', passed: true, said: 'clean' });
    expect(await one(shell('true'))).toEqual({ gate: 'g', passed: true, said: '' });
  });

  it('is told which bundle it is about, gets the release, and no environment of ours besides', async () => {
    vi.stubEnv('SLUICE_TEST_SECRET', 'secret');
    const { passed, said } = (await one(
      shell('echo "$SLUICE_BUNDLE $SLUICE_CHANNEL $SLUICE_TEST_SECRET<$(cat)>"'),
    )) ?? { passed: false, said: '' };
    vi.unstubAllEnvs();
    expect(passed).toBe(true);
    expect(said).toBe(`${subject.bundle} prod <the release envelope>`);
  });

  it('need not read its input, however large', async () => {
    const verdicts = await runGates([shell('exec true')], { ...subject, release: Buffer.alloc(8 * 2 ** 20) });
    expect(verdicts).toEqual([{ gate: 'g', passed: true, said: '' }]);
  });

  it('refuses with any other status, and when it crashes', async () => {
    expect(await one(shell('echo virus found; exit 1'))).toEqual({ gate: 'g', passed: false, said: 'virus found' });
    expect(await one(shell('exit 127'))).toEqual({ gate: 'g', passed: false, said: '' });
    expect(await one(shell('echo fine; kill -SEGV $$'))).toEqual({
      gate: 'g',
      passed: false,
      said: 'ended by SIGSEGV',
    });
  });

  it('that hangs is ended with all that it started, and refuses', async () => {
    const file = join(scratch(), 'pid');
    const started = performance.now();
    expect(await one(shell(`echo fine; sleep 600 & echo $! > ${file}; wait`, 400))).toEqual({
      gate: 'g',
      passed: false,
      said: 'did not end within 400 ms',
    });
    expect(performance.now() - started).toBeLessThan(60_000);
    await vi.waitFor(() => expect(runs(Number(readFileSync(file, 'utf8')))).toBe(false), 10_000);
  });

  it('that ends well but leaves something behind that holds its output has not ended', async () => {
    expect(await one(shell('sleep 600 & exit 0', 400))).toEqual({
      gate: 'g',
      passed: false,
      said: 'did not end within 400 ms',
    });
  });

  it('may talk without end, and say anything', async () => {
    const { said = '' } = (await one(shell('yes | head -c 20000000 | tr -d "\\n"'))) ?? {};
    expect(said).toBe('y'.repeat(512));
    const odd = await one(shell(String.raw`printf '\033[31m\000\377 ä'`));
    expect(odd?.said).toBe('\u001b[31m\0\ufffd ä');
  });

  it('that cannot be started is no verdict', async () => {
    const missing = run({ name: 'scanner', command: ['/nowhere/scanner'], timeoutMs: 1000 });
    await expect(missing).rejects.toMatchObject({ code: 'gate-unavailable', retryable: true });
    await expect(missing).rejects.toThrow('gate scanner cannot be started');
    const plain = join(scratch(), 'plain');
    writeFileSync(plain, 'no program');
    chmodSync(plain, 0o644);
    await expect(run({ name: 'g', command: [plain], timeoutMs: 1000 })).rejects.toMatchObject({
      code: 'gate-unavailable',
    });
  });
});

describe('gates', () => {
  it('run one after the other, up to the first that refuses', async () => {
    const dir = scratch();
    const touch = (name: string): string => `test ! -e ${dir}/after; : > ${dir}/${name}`;
    const verdicts = await run(
      shell(touch('first'), 10_000, 'first'),
      shell(`test -e ${dir}/first && exit 1`, 10_000, 'second'),
      shell(touch('after'), 10_000, 'third'),
    );
    expect(verdicts.map(({ gate, passed }) => `${gate} ${String(passed)}`)).toEqual(['first true', 'second false']);
    expect(existsSync(join(dir, 'after'))).toBe(false);
    expect(await run()).toEqual([]);
  });

  it('verdicts of a published bundle are in the ledger, and see it only when all else holds', async () => {
    const seen = join(scratch(), 'seen');
    const receiver = await Receiver.open({
      gates: [
        shell(`echo $SLUICE_BUNDLE >> ${seen}; echo looks good`, 10_000, 'scan'),
        shell('true', 10_000, 'second'),
      ],
    });
    const bundle = seal({ sequence: 1, blobs: [randomBytes(300)] });
    const bad = seal({ sequence: 2, previous: bundle.id, blobs: [randomBytes(300)], releaseKeys: ['stranger'] });
    await receiver.take(bundle);
    await receiver.take(bad);
    expect(readFileSync(seen, 'utf8')).toBe(`${bundle.id}\n`);
    const published = receiver.ledger.events.about(bundle.id).find(({ kind }) => kind === 'published');
    expect(published?.body.gates).toEqual([
      { gate: 'scan', passed: true, said: 'looks good' },
      { gate: 'second', passed: true, said: '' },
    ]);
  });

  it('what one said is the reason of the refusal; what cannot be started keeps the bundle waiting', async () => {
    const dir = scratch();
    const command = [join(dir, 'scanner')];
    const receiver = await Receiver.open({ gates: [{ name: 'scan', command, timeoutMs: 10_000 }] });
    const bundle = seal({ sequence: 1, blobs: [randomBytes(300)] });
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('receiving');
    expect(receiver.log.some((line) => line.includes('gate-unavailable'))).toBe(true);
    writeFileSync(command[0] ?? '', '#!/bin/sh\necho CVE-2026-1; exit 3\n', { mode: 0o755 });
    // It is asked again whenever something of the bundle comes, and by itself.
    for (const object of bundle.objects) await receiver.arrive(object);
    await expectRefused(receiver, bundle, 'gate-refused');
    expect(receiver.quarantined(bundle.id)?.reason.detail).toBe('gate scan refused the bundle: CVE-2026-1');
  });
});
