import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ok, refuse } from '@sluice/ports';
import type { Digest } from '@sluice/ports';
import { closureOf } from '../src/oci-closure.ts';
import { DOCKER_LIST, OCI_INDEX, OCI_MANIFEST } from '../src/oci.ts';

interface Target {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A world of documents in which images can be built. */
class World {
  readonly documents = new Map<Digest, Uint8Array>();
  readonly read: Digest[] = [];

  add(mediaType: string, document: unknown): Target {
    const bytes = Buffer.from(JSON.stringify(document));
    this.documents.set(digestOf(bytes), bytes);
    return { mediaType, digest: digestOf(bytes), size: bytes.length };
  }
  blob(text: string, mediaType = LAYER): Target {
    return { mediaType, digest: digestOf(Buffer.from(text)), size: text.length };
  }
  manifest(layers: Target[], over: Record<string, unknown> = {}): Target {
    return this.add(OCI_MANIFEST, { schemaVersion: 2, config: this.blob('{}', 'application/json'), layers, ...over });
  }
  index(manifests: Target[], mediaType = OCI_INDEX): Target {
    return this.add(mediaType, { schemaVersion: 2, mediaType, manifests });
  }
  closure(root: Target): ReturnType<typeof closureOf> {
    return closureOf(root, (digest) => {
      this.read.push(digest);
      const bytes = this.documents.get(digest);
      return Promise.resolve(bytes === undefined ? refuse('blob-missing', digest) : ok(bytes));
    });
  }
  async code(root: Target): Promise<string> {
    const closure = await this.closure(root);
    return closure.ok ? 'ok' : closure.error.code;
  }
}

describe('closures', () => {
  it('lists blobs, children, self, each once, and counts their bytes', async () => {
    const world = new World();
    const shared = world.blob('shared');
    const a = world.manifest([shared, world.blob('a')]);
    const b = world.manifest([shared, world.blob('b')]);
    const extra = world.blob('text', 'text/plain');
    const inner = world.index([b], DOCKER_LIST);
    const root = world.index([a, inner, b, extra]);
    const closure = await world.closure(root);
    if (!closure.ok) throw new Error(closure.error.detail);
    const order = [extra, world.blob('{}'), shared, world.blob('a'), a, world.blob('b'), b, inner, root];
    expect(closure.value.entries.map(({ digest }) => digest)).toEqual(order.map(({ digest }) => digest));
    expect(closure.value.entries.map(({ kind }) => kind)).toEqual(
      'blob blob blob blob manifest blob manifest index index'.split(' '),
    );
    expect(closure.value.total).toBe(order.reduce((sum, { size }) => sum + size, 0));
    expect(world.read).toHaveLength(4);
  });

  it('tells the subject of a referrer, which is not part of its closure', async () => {
    const world = new World();
    const subject = world.manifest([world.blob('image')]);
    const referrer = world.manifest([world.blob('signature')], { subject });
    const closure = await world.closure(referrer);
    if (!closure.ok) throw new Error(closure.error.detail);
    expect(closure.value.root.subject?.digest).toBe(subject.digest);
    expect(closure.value.entries.map(({ digest }) => digest)).not.toContain(subject.digest);
  });

  it('refuses what does not fit together', async () => {
    const world = new World();
    const image = world.manifest([world.blob('x')]);
    expect(await world.code({ ...image, size: image.size + 1 })).toBe('size-mismatch');
    expect(await world.code({ ...image, size: 5_000_000 })).toBe('manifest-too-large');
    expect(await world.code({ ...image, mediaType: OCI_INDEX })).toBe('manifest-malformed');
    expect(await world.code(world.manifest([world.blob('x'), { ...world.blob('x'), size: 2 }]))).toBe('size-mismatch');
    expect(await world.code(world.index([world.manifest([{ ...world.blob(''), ...image }]), image]))).toBe(
      'manifest-malformed',
    );
    expect(await world.code(world.index([{ ...image, digest: digestOf(Buffer.from('gone')) }]))).toBe('blob-missing');
    const foreign = { ...world.blob('w'), mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' };
    expect(await world.code(world.index([world.manifest([foreign])]))).toBe('non-distributable');
  });

  it('bounds depth, number and cycles', async () => {
    const world = new World();
    let nested = world.manifest([world.blob('x')]);
    for (let depth = 0; depth < 8; depth++) nested = world.index([nested]);
    expect(await world.code(nested)).toBe('ok');
    expect(await world.code(world.index([nested]))).toBe('manifest-malformed');

    const many = Array.from({ length: 7 }, (_, i) =>
      world.manifest(Array.from({ length: 9900 }, (_, j) => world.blob(`${i} ${j}`))),
    );
    expect(await world.code(world.index(many.slice(0, 6)))).toBe('ok');
    expect(await world.code(world.index(many))).toBe('manifest-malformed');

    const huge = Array.from({ length: 9000 }, (_, i) => ({ ...world.blob(String(i)), size: 2 ** 40 }));
    expect(await world.code(world.manifest(huge))).toBe('manifest-malformed');

    // A reader that does not hash may meet a cycle.
    const self: Target = { mediaType: OCI_INDEX, digest: digestOf(Buffer.from('self')), size: 0 };
    const body = (size: number): Buffer =>
      Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [{ ...self, size }] }));
    const size = body(100).length;
    world.documents.set(self.digest, body(size));
    expect(await world.code({ ...self, size })).toBe('manifest-malformed');
  });
});
