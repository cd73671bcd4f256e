import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { diodeMissing } from '../../../test/rig/diode.ts';

const absent = diodeMissing();

interface Outcome {
  readonly lost: number;
  readonly sent: number;
  readonly refused: readonly { readonly code: string; readonly reason: string }[];
  readonly toldWhileHeld: boolean;
}

describe.skipIf(absent !== undefined)(
  `a sender whose kernel takes no datagrams for a while${absent === undefined ? '' : `: ${absent}`}`,
  () => {
    it.each(['native', 'portable'])('keeps them, says so, and goes on where it was (%s)', (io) => {
      const namespace = `sluice-held-${String(process.pid)}-${io}`;
      const dir = mkdtempSync(join(tmpdir(), 'sluice-held-'));
      execFileSync('ip', ['netns', 'add', namespace]);
      onTestFinished(() => {
        execFileSync('ip', ['netns', 'delete', namespace]);
        rmSync(dir, { recursive: true });
      });
      const argv = [process.execPath, join(import.meta.dirname, 'held.ts'), dir, io];
      const outcome = JSON.parse(
        execFileSync('ip', ['netns', 'exec', namespace, ...argv], { encoding: 'utf8' }),
      ) as Outcome;
      expect(outcome.lost).toBe(0);
      // 711 source symbols at least, and their repair.
      expect(outcome.sent).toBeGreaterThan(711);
      expect(outcome.refused.map(({ code }) => code)).toEqual(['link-send']);
      expect(outcome.refused[0]?.reason).toContain('look at the diode interface');
      expect(outcome.toldWhileHeld).toBe(true);
    });
  },
);
