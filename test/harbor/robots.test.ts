import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { robotFindings } from '../../packages/cli/src/doctor/services.ts';
import { missing } from './needs.ts';
import { faultsOf } from './schema.ts';
import { PUSHER, type Site, startSite } from './site.ts';

const absent = missing('docker-registry');
const NOW = 1_800_000_000;
const DAY = 86_400;

describe.skipIf(absent !== undefined)(
  `what doctor says of robot accounts${absent === undefined ? '' : `: ${absent} is not installed`}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-robots-'));
    let site: Site;
    beforeAll(async () => {
      site = await startSite(dir, 'a');
    });
    afterAll(async () => {
      await site.stop();
      rmSync(dir, { recursive: true });
    });

    it.each([
      ['does not end', { expires_at: -1 }, 'ok', 'does not end'],
      ['ends in 90 days', { expires_at: NOW + 90 * DAY }, 'ok', 'counts until 2027-04-15'],
      ['ends in 30 days', { expires_at: NOW + 30 * DAY }, 'ok', 'counts until 2027-02-14'],
      ['ends in 29 days', { expires_at: NOW + 30 * DAY - 1 }, 'warn', 'ends in 29 days, on 2027-02-14'],
      ['ended', { expires_at: NOW }, 'fail', 'ended on 2027-01-15'],
      ['is disabled', { expires_at: -1, disable: true }, 'fail', 'is disabled'],
    ])('one that %s', async (_, robot, level, words) => {
      const others = { name: 'robot$other', expires_at: 1, disable: true };
      site.harbor.api.robots = [others, { name: PUSHER.username, disable: false, ...robot }];
      const found = await robotFindings('a', site.harbor.url, PUSHER, NOW);
      expect(found).toMatchObject({ check: 'robot:a', level });
      expect(found.what).toContain(words);
    });

    it('and where it cannot be seen: not allowed, another kind of account, nobody there', async () => {
      for (const robots of [undefined, []]) {
        site.harbor.api.robots = robots;
        expect(await robotFindings('a', site.harbor.url, PUSHER, NOW)).toMatchObject({ level: 'unknown' });
      }
      expect(await robotFindings('a', 'http://127.0.0.1:9', PUSHER, NOW)).toMatchObject({ level: 'unknown' });
      // The stand-in answered as Harbor's description says.
      const asked = site.harbor.exchanges.filter(({ path }) => path.startsWith('/api/v2.0/robots'));
      expect(asked.length).toBeGreaterThan(6);
      expect(asked.flatMap(faultsOf)).toEqual([]);
    });
  },
);
