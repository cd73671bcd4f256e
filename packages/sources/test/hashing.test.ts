import { createHash, randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashAhead } from '../src/hashing.ts';

const MIB = 1024 * 1024;
const bytes = randomBytes(7 * MIB);
const digestOf = (of: Uint8Array): string => `sha256:${createHash('sha256').update(of).digest('hex')}`;

describe('hashing a file while its next pieces are read', () => {
  let directory = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-hashing-'));
  });
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  async function hashed(size: number, wanted = size): Promise<string> {
    const path = join(directory, 'file');
    writeFileSync(path, bytes.subarray(0, size));
    const descriptor = openSync(path, 'r');
    try {
      return await hashAhead(descriptor, wanted);
    } finally {
      closeSync(descriptor);
    }
  }

  test.each([0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB, 3 * MIB + 1, 4 * MIB - 1, 6 * MIB, 7 * MIB])(
    'gives the digest of %i bytes',
    async (size) => {
      expect(await hashed(size)).toBe(digestOf(bytes.subarray(0, size)));
    },
  );

  test('reads no more of a file than was asked for', async () => {
    expect(await hashed(7 * MIB, 5 * MIB + 3)).toBe(digestOf(bytes.subarray(0, 5 * MIB + 3)));
  });

  test('ends with a file that is shorter', async () => {
    expect(await hashed(2 * MIB + 5, 6 * MIB)).toBe(digestOf(bytes.subarray(0, 2 * MIB + 5)));
  });

  test("an error of the file system is the caller's", async () => {
    const descriptor = openSync(directory, 'r');
    try {
      await expect(hashAhead(descriptor, 4 * MIB)).rejects.toMatchObject({ code: 'EISDIR' });
    } finally {
      closeSync(descriptor);
    }
  });
});
