import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeLinkKey } from '../../packages/trust/src/index.ts';
import { MAIN, NODE } from '../world/world.ts';
import { writeBigLog } from './big-log.ts';
import type { Report } from './replayed.ts';

const MIB = 2 ** 20;
/** A log of any length is replayed in this much. */
const MEMORY_MAX = 512 * MIB;
const TELLS = 'data:text/javascript,process.on("exit",()=>process.stderr.write("rss "+process.resourceUsage().maxRSS))';

describe('the memory of a replay', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-memory-'));
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });
  const key = new Uint8Array(32).fill(7);
  writeFileSync(join(dir, 'link.key'), Buffer.from(key).toString('hex'), { mode: 0o600 });
  writeFileSync(
    join(dir, 'keys.json'),
    JSON.stringify({ keys: [{ asid: 0, channel: 'prod', keyFile: join(dir, 'link.key') }] }),
  );
  const linkKey = makeLinkKey({ asid: 0, channel: 'prod', algorithm: 'HMAC-SHA-256-128', key });

  /** Replays a log of so many objects of 8 MiB; every second of them never becomes whole. */
  function replayed(objects: number): { readonly log: number; readonly memory: number } {
    const log = join(dir, `${String(objects)}.pcapng`);
    const whole = writeBigLog(log, linkKey, objects, 8 * MIB);
    const words = ['replay', 'verify', '--json', '--work', dir, '--keys', join(dir, 'keys.json'), log];
    const { stdout, stderr } = spawnSync(NODE, ['--import', TELLS, MAIN, ...words], {
      encoding: 'utf8',
      maxBuffer: MIB * 64,
    });
    const { objects: found } = JSON.parse(stdout) as Report;
    expect(found.flatMap(({ digest, state }) => (state === 'whole' ? [digest] : []))).toEqual(whole);
    expect(found).toHaveLength(objects);
    return { log: statSync(log).size, memory: Number(/rss (\d+)$/.exec(stderr)?.[1]) * 1024 };
  }

  it('does not grow with the log, nor with objects that never become whole', () => {
    const [small, large] = [replayed(3), replayed(24)];
    expect(large.log).toBeGreaterThan(200 * MIB);
    expect(large.memory).toBeLessThan(MEMORY_MAX);
    // What is not whole is held, to 128 MiB of blocks; the rest of the log is not.
    expect(large.memory - small.memory).toBeLessThan(160 * MIB);
  });
});
