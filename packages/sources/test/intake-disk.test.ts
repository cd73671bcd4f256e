import fsp from 'node:fs/promises';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ok, refuse, type Result } from '@sluice/ports';
import { Intake, WorkArea } from '@sluice/sources';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';

afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

const full = (): Promise<never> =>
  Promise.reject(
    Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC', errno: -28, syscall: 'open' }),
  );

async function intakeWith(handle: () => Promise<Result<void>>) {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-intake-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, 'inbox/one'), { recursive: true });
  writeFileSync(join(dir, 'inbox/one/file'), 'x');
  const said: string[] = [];
  const intake = new Intake({
    area: new WorkArea({ work: join(dir, 'work'), refused: join(dir, 'refused') }),
    handle,
    events: {
      accepted: () => void said.push('accepted'),
      refused: (_submission, { code }) => void said.push(code),
      failed: (_name, { code }) => void said.push(code),
    },
  });
  await intake.open();
  return { dir, intake, said };
}

describe('a disk that is full', () => {
  it('keeps an input that is to be refused, and the sender, until there is room', async () => {
    const { dir, intake, said } = await intakeWith(() =>
      Promise.resolve(refuse('release-missing', 'The bundle has no release.dsse.json.')),
    );
    const open = fsp.open;
    vi.spyOn(fsp, 'open').mockImplementation((path, ...rest) =>
      String(path).endsWith('.reason') ? full() : open(path, ...rest),
    );
    syncBuiltinESMExports();
    await intake.take(join(dir, 'inbox/one'), 'one');
    expect(said).toEqual(['source-io']);
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    await intake.retry();
    expect(said).toEqual(['source-io', 'release-missing']);
    expect(readdirSync(join(dir, 'refused'))).toEqual(['one']);
  });

  it('keeps an input that was sealed, and the sender, until there is room', async () => {
    const { dir, intake, said } = await intakeWith(() => Promise.resolve(ok(undefined)));
    const rename = fsp.rename;
    vi.spyOn(fsp, 'rename').mockImplementation((from, to) =>
      String(to).endsWith('/done') ? full() : rename(from, to),
    );
    syncBuiltinESMExports();
    await intake.take(join(dir, 'inbox/one'), 'one');
    expect(said).toEqual(['source-io']);
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    await intake.retry();
    expect(said).toEqual(['source-io', 'accepted']);
    expect(existsSync(join(dir, 'inbox/one'))).toBe(false);
  });
});
