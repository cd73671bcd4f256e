import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { OCI_MANIFEST, readPack } from '@sluice/bundle';
import { OperationalError } from '@sluice/ports';
import type { Digest, HashedFile, Staging } from '@sluice/ports';

export const digestOf = (bytes: Uint8Array | string): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A directory that goes away with the test. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-sources-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function put(root: string, files: Readonly<Record<string, string | Uint8Array>>): string {
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), bytes);
  }
  return root;
}

export const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe' });

/** Code of a refusal, or `ok`. */
export const codeOf = (result: { ok: true } | { ok: false; error: { code: string } }): string =>
  result.ok ? 'ok' : result.error.code;

export function valueOf<T>(result: { ok: true; value: T } | { ok: false; error: { code: string; detail: string } }): T {
  if (result.ok) return result.value;
  throw new Error(`${result.error.code}: ${result.error.detail}`);
}

/** A staging store in memory that keeps to the contract of the port. */
export class MemoryStaging implements Staging {
  readonly blobs = new Map<Digest, Uint8Array>();
  copies = 0;
  #taken: HashedFile[] = [];

  canTakeFrom(): boolean {
    return true;
  }
  holds(digest: Digest, size: number): boolean {
    return this.blobs.get(digest)?.length === size;
  }
  *read(digest: Digest): Generator<Uint8Array> {
    const bytes = this.blobs.get(digest);
    if (bytes !== undefined) yield bytes;
  }
  add(bytes: Uint8Array): Promise<Digest> {
    this.blobs.set(digestOf(bytes), bytes);
    return Promise.resolve(digestOf(bytes));
  }
  async copy(bytes: AsyncIterable<Uint8Array>, wants: (digest: Digest, size: number) => boolean): Promise<Digest> {
    this.copies += 1;
    const whole = Buffer.concat(await Array.fromAsync(bytes));
    const digest = digestOf(whole);
    if (wants(digest, whole.length)) this.blobs.set(digest, whole);
    return digest;
  }
  take(file: HashedFile): Promise<void> {
    this.#taken.push(file);
    return Promise.resolve();
  }
  commit(): Promise<void> {
    for (const { digest, size, read } of this.#taken) {
      const whole = Buffer.concat([...read()]);
      if (digestOf(whole) !== digest || whole.length !== size)
        throw new OperationalError('store-digest-mismatch', digest, { retryable: false });
      this.blobs.set(digest, whole);
    }
    this.discard();
    return Promise.resolve();
  }
  discard(): void {
    this.#taken = [];
  }

  /** What link objects hold: the members of packs, and the large blobs as they are. */
  contents(objects: readonly { readonly digest: Digest; readonly contentType: string }[]): Map<Digest, Uint8Array> {
    const contents = new Map<Digest, Uint8Array>();
    for (const { digest, contentType } of objects) {
      const bytes = this.blobs.get(digest) ?? Buffer.alloc(0);
      const members = contentType === 'application/x-tar' ? valueOf(readPack(bytes)) : [{ digest, bytes }];
      for (const member of members) contents.set(member.digest, member.bytes);
    }
    return contents;
  }
}

export interface Target {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations?: Record<string, string>;
}

/** An image layout written by hand, for what tools refuse to make. */
export class HandLayout {
  readonly path: string;
  readonly manifests: Target[];

  /** A new layout, or one that a tool made. */
  constructor(path: string) {
    this.path = path;
    const made = existsSync(join(path, 'index.json'));
    this.manifests = made
      ? (JSON.parse(readFileSync(join(path, 'index.json'), 'utf8')) as { manifests: Target[] }).manifests
      : [];
    if (made) return;
    put(path, { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}' });
    this.#index();
  }
  blob(bytes: string | Uint8Array, mediaType = 'application/vnd.oci.image.layer.v1.tar'): Target {
    const digest = digestOf(bytes);
    put(this.path, { [`blobs/sha256/${digest.slice(7)}`]: bytes });
    return { mediaType, digest, size: Buffer.byteLength(bytes) };
  }
  document(mediaType: string, value: Record<string, unknown>): Target {
    return this.blob(JSON.stringify({ schemaVersion: 2, mediaType, ...value }), mediaType);
  }
  manifest(layers: readonly Target[], over: Record<string, unknown> = {}): Target {
    return this.document(OCI_MANIFEST, {
      config: this.blob('{}', 'application/vnd.oci.image.config.v1+json'),
      layers,
      ...over,
    });
  }
  add(target: Target, ref?: string): Target {
    this.manifests.push(
      ref === undefined ? target : { ...target, annotations: { 'org.opencontainers.image.ref.name': ref } },
    );
    this.#index();
    return target;
  }
  #index(): void {
    put(this.path, { 'index.json': JSON.stringify({ schemaVersion: 2, manifests: this.manifests }) });
  }
}

let made: string | undefined;

/**
 * A layout made by umoci: `IMAGE:1.35` of one layer with Debian's busybox (some 700 KB compressed). Made once, copied for each caller.
 */
export function busyboxLayout(path: string): string {
  if (made === undefined) {
    made = mkdtempSync(join(tmpdir(), 'sluice-busybox-'));
    process.once('exit', () => rmSync(made ?? '', { recursive: true, force: true }));
    const image = `${join(made, 'layout')}:1.35`;
    run('umoci', 'init', '--layout', join(made, 'layout'));
    run('umoci', 'new', '--image', image);
    run('umoci', 'insert', '--image', image, '/bin/busybox', '/bin/busybox');
  }
  mkdirSync(dirname(path), { recursive: true });
  run('cp', '-r', join(made, 'layout'), path);
  return path;
}
