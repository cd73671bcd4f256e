import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hexOf } from '@sluice/ports';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Judge } from '../src/judge/judge.ts';
import { plainArtifacts } from '../src/judge/plain.ts';
import { digestOf, fileOf, type Piece, seal, signers, verifiers } from './bundles.ts';
import { scratch } from './receiver.ts';

const LIMIT = 2 ** 26;
const POLICY = {
  channel: 'prod',
  transportKeys: [signers.transport.keyid],
  releaseKeys: [signers.release.keyid],
  releaseSignatures: 1,
  types: ['image', 'file', 'cve-db'],
  repositories: ['**'],
  paths: ['f/**'],
  maxBytes: 2 ** 40,
  maxArtifacts: 200_000,
} as const;

function judgeOf(): Judge {
  const judge = new Judge([{ policy: POLICY, verifiers }]);
  onTestFinished(() => judge.stop());
  return judge;
}

/** A statement in a spool. */
function spooled({ digest, bytes, contentType }: Piece, directory = scratch()) {
  const key = `${hexOf(digest)}-${String(bytes.length)}-1408-200`;
  const path = join(directory, `${key}.statement.whole`);
  writeFileSync(path, bytes);
  return { channel: 'prod', key, digest, size: bytes.length, contentType, path };
}

/** How often the event loop came around while something was under way. */
async function turnsDuring<T>(work: Promise<T>): Promise<{ readonly value: T; readonly turns: number }> {
  let turns = 0;
  let going = true;
  const done = work.finally(() => {
    going = false;
  });
  while (going) {
    turns += 1;
    await new Promise(setImmediate);
  }
  return { value: await done, turns };
}

describe('the judge', () => {
  it('gives back a transport statement, whole, and tells a release, something else and rotten bytes from it', async () => {
    const judge = judgeOf();
    const bundle = seal({ sequence: 1, blobs: [randomBytes(2000)] });
    const transport = await judge.any(spooled(bundle.transport), LIMIT);
    expect(transport).toMatchObject({
      type: 'transport',
      transport: { id: bundle.id, signer: signers.transport.keyid },
    });
    expect(transport.type === 'transport' ? Buffer.from(transport.transport.envelope) : '').toEqual(
      Buffer.from(bundle.transport.bytes),
    );
    expect(await judge.any(spooled(bundle.release), LIMIT)).toEqual({ type: 'unnamed-release' });
    const none = Buffer.from('{}');
    const junk = { ...bundle.release, bytes: none, digest: digestOf(none) };
    expect(await judge.any(spooled(junk), LIMIT)).toMatchObject({
      type: 'refused',
      refusal: { code: 'payload-type' },
    });
    expect(await judge.any(spooled({ ...bundle.release, bytes: none }), LIMIT)).toEqual({ type: 'damaged' });
    expect(await judge.any(spooled(bundle.release), 10)).toEqual({ type: 'damaged' });
    expect(await judge.any({ ...spooled(junk), path: '/nowhere' }, LIMIT)).toEqual({ type: 'damaged' });
    await expect(judge.any({ ...spooled(junk), path: '/' }, LIMIT)).rejects.toMatchObject({ code: 'ENOTSUP' });
  });

  it('refuses a release by the policy of the channel, and one that another statement names', async () => {
    const judge = judgeOf();
    const [bundle, other] = [1, 2].map((sequence) => seal({ sequence, blobs: [randomBytes(2000)] }));
    const transport = await judge.any(spooled(bundle!.transport), LIMIT);
    if (transport.type !== 'transport') throw new Error(transport.type);
    expect(await judge.release(spooled(other!.release), LIMIT, transport.transport)).toMatchObject({
      type: 'refused',
      refusal: { code: 'release-mismatch' },
    });
    const outside = seal({ sequence: 3, blobs: [], artifacts: [fileOf(Buffer.from('x'), 'other/place')] });
    const named = await judge.any(spooled(outside.transport), LIMIT);
    if (named.type !== 'transport') throw new Error(named.type);
    expect(await judge.release(spooled(outside.release), LIMIT, named.transport)).toMatchObject({ type: 'refused' });
  });

  it('lets the thread that asks go on while it judges a release of 20,000 files, and gives all of them', async () => {
    const judge = judgeOf();
    const artifacts = Array.from({ length: 20_000 }, (_, i) => fileOf(Buffer.from(String(i)), `f/${String(i)}`));
    const bundle = seal({ sequence: 1, blobs: [Buffer.from('0')], artifacts });
    const transport = await judge.any(spooled(bundle.transport), LIMIT);
    if (transport.type !== 'transport') throw new Error(transport.type);
    const { value, turns } = await turnsDuring(judge.release(spooled(bundle.release), LIMIT, transport.transport));
    if (value.type !== 'release') throw new Error(value.type);
    expect(turns).toBeGreaterThan(10);
    const { release } = value;
    expect(release).toMatchObject({ artifacts: 20_000, signers: [signers.release.keyid], oci: [], versions: [] });
    expect(Buffer.from(release.envelope).equals(bundle.release.bytes)).toBe(true);
    const plain = [...plainArtifacts(release.plain)];
    expect(plain).toHaveLength(artifacts.length);
    const others = plain.filter(({ name, digest, size }, i) => {
      const artifact = artifacts[i];
      return name !== artifact?.name || digest !== artifact.digest || size !== artifact.size;
    });
    expect(others).toEqual([]);
  });
});
