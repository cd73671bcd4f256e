// What was approved once and has been replaced since does not come back (docs/PROTOCOL.md B-9, B-14, B-18).
import { randomBytes } from 'node:crypto';
import { type Artifact, type ArtifactType, OCI_MANIFEST } from '@sluice/bundle';
import { describe, expect, it } from 'vitest';
import { digestOf, fileOf, seal } from './bundles.ts';
import { Receiver } from './receiver.ts';

const CREATED = 'org.opencontainers.image.created';
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const describedAs = (bytes: Uint8Array, mediaType: string) => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});
const isoOf = (seconds: number): string => new Date(seconds * 1000).toISOString();

interface Plan {
  readonly type: ArtifactType;
  readonly version?: number;
  /** When the manifest says that it was built. */
  readonly built?: number;
  readonly repository?: string;
}

/** An artifact of one layer, and its blobs. */
function artifactOf({ type, version, built, repository = `security/${type}` }: Plan) {
  const [config, layer] = [json({}), randomBytes(500)];
  const manifest = json({
    ...{ schemaVersion: 2, mediaType: OCI_MANIFEST },
    ...{ config: describedAs(config, 'application/vnd.oci.image.config.v1+json') },
    layers: [describedAs(layer, 'application/vnd.aquasec.trivy.db.layer.v1.tar+gzip')],
    ...(built === undefined ? {} : { annotations: { [CREATED]: isoOf(built) } }),
  });
  const blobs = [manifest, config, layer];
  const artifact: Artifact = {
    ...{ name: type, type, digest: digestOf(manifest), size: manifest.length, mediaType: OCI_MANIFEST },
    total: blobs.reduce((sum, { length }) => sum + length, 0),
    ...(version === undefined ? {} : { version }),
    target: { repository, tags: ['2'] },
  };
  return { artifact, blobs };
}

const OPTIONS = {
  policy: { types: ['image', 'chart', 'cve-db', 'git', 'file'], versioned: ['image', 'chart', 'file'] },
} as const;
const MONDAY = 1_764_000_000;
const TUESDAY = MONDAY + 86_400;

/** Sends such an artifact, in a bundle that follows none that is known; what became of it. */
async function send(receiver: Receiver, nth: number, plan: Plan): Promise<string | undefined> {
  const { artifact, blobs } = artifactOf(plan);
  const bundle = seal({ sequence: 2 * nth, blobs, artifacts: [artifact] });
  await receiver.take(bundle);
  return receiver.state(bundle.id);
}

describe('an older artifact', () => {
  it.each(['cve-db', 'image', 'chart'] as const)(
    'is refused once a newer one was published, however well it is signed: %s',
    async (type) => {
      const receiver = await Receiver.open(OPTIONS);
      const built = type === 'cve-db';
      const plan = (version: number): Plan => ({ type, version, ...(built ? { built: version } : {}) });
      expect(await send(receiver, 1, plan(TUESDAY))).toBe('published');
      expect(await send(receiver, 2, plan(MONDAY))).toBe('quarantined: version-not-newer');
      receiver.restart();
      expect(await send(receiver, 3, plan(TUESDAY))).toBe('quarantined: version-not-newer');
      expect(await send(receiver, 4, plan(TUESDAY + 1))).toBe('published');
      // Versions are of one target, and of one type.
      expect(await send(receiver, 5, { ...plan(MONDAY), repository: 'other/place' })).toBe('published');
    },
  );

  it('is refused without a version where the channel wants one', async () => {
    const receiver = await Receiver.open(OPTIONS);
    expect(await send(receiver, 1, { type: 'image' })).toBe('quarantined: version-missing');
    const bytes = randomBytes(9);
    const bundle = seal({ sequence: 4, blobs: [bytes], artifacts: [fileOf(bytes, 'etc/motd')] });
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('quarantined: version-missing');
  });

  it('does not pass for a newer one: a CVE database has the version that it was built as', async () => {
    const receiver = await Receiver.open(OPTIONS);
    expect(await send(receiver, 1, { type: 'cve-db', version: MONDAY, built: MONDAY })).toBe('published');
    expect(await send(receiver, 2, { type: 'cve-db', version: TUESDAY, built: MONDAY - 86_400 })).toBe(
      'quarantined: version-mismatch',
    );
    // One that does not say when it was built is taken at the word of those who approved it.
    expect(await send(receiver, 3, { type: 'cve-db', version: TUESDAY })).toBe('published');
  });
});
