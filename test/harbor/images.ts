import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Digest } from '@sluice/ports';

const run = promisify(execFile);

export interface Made {
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
}

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const EMPTY = 'application/vnd.oci.empty.v1+json';
export const SIGSTORE_BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** An OCI layout on disk, filled by umoci from Debian's busybox-static, and by hand where umoci has no command. */
export class Layout {
  readonly dir: string;
  constructor(dir: string) {
    this.dir = dir;
  }

  static async create(dir: string): Promise<Layout> {
    await run('umoci', ['init', '--layout', dir]);
    return new Layout(dir);
  }

  path(digest: Digest): string {
    return join(this.dir, 'blobs', 'sha256', digest.slice(7));
  }

  bytes(digest: Digest): Buffer {
    return readFileSync(this.path(digest));
  }

  /** Busybox plus one file with the given text, so images differ in one layer and share the other. */
  async image(tag: string, text: string, architecture = 'amd64'): Promise<Made> {
    const work = `${this.dir}-${tag}-root`;
    mkdirSync(join(work, 'bin'), { recursive: true });
    copyFileSync('/bin/busybox', join(work, 'bin', 'busybox'));
    writeFileSync(join(work, 'motd'), text);
    const image = `${this.dir}:${tag}`;
    await run('umoci', ['new', '--image', image]);
    await run('umoci', ['insert', '--rootless', '--image', image, join(work, 'bin'), '/bin']);
    await run('umoci', ['insert', '--rootless', '--image', image, join(work, 'motd'), '/etc/motd']);
    await run('umoci', ['config', '--image', image, '--architecture', architecture, '--config.cmd', '/bin/busybox']);
    const index = JSON.parse(readFileSync(join(this.dir, 'index.json'), 'utf8')) as {
      manifests: (Made & { annotations?: Record<string, string> })[];
    };
    const found = index.manifests.find((entry) => entry.annotations?.['org.opencontainers.image.ref.name'] === tag);
    if (found === undefined) throw new Error(`umoci made no ${tag}`);
    return { digest: found.digest, size: found.size, mediaType: found.mediaType };
  }

  add(bytes: Uint8Array | string, mediaType: string): Made {
    const data = Buffer.from(bytes);
    const digest: Digest = `sha256:${createHash('sha256').update(data).digest('hex')}`;
    writeFileSync(this.path(digest), data);
    return { digest, size: data.length, mediaType };
  }

  /** A multi-architecture index over images made before. */
  index(children: readonly (Made & { readonly architecture: string })[]): Made {
    const manifests = children.map(({ architecture, ...child }) => ({
      ...child,
      platform: { os: 'linux', architecture },
    }));
    return this.add(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }), INDEX);
  }

  /** An artifact that refers to `subject` (distribution-spec referrers). */
  referrer(subject: Made, artifactType: string, payload: string): Made {
    const config = this.add('{}', EMPTY);
    const layers = [this.add(payload, artifactType)];
    const document = { schemaVersion: 2, mediaType: MANIFEST, artifactType, config, layers, subject };
    return this.add(JSON.stringify(document), MANIFEST);
  }

  /** A manifest in the shape of cosign's tag scheme; its tag is `sha256-HEX.sig`. */
  cosignSignature(subject: Made): Made {
    const config = this.add(
      '{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}',
      'application/vnd.oci.image.config.v1+json',
    );
    const payload = {
      critical: {
        identity: {},
        image: { 'docker-manifest-digest': subject.digest },
        type: 'cosign container image signature',
      },
    };
    const layer = this.add(JSON.stringify(payload), 'application/vnd.dev.cosign.simplesigning.v1+json');
    const layers = [{ ...layer, annotations: { 'dev.cosignproject.cosign/signature': 'MEQCIA==' } }];
    return this.add(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config, layers }), MANIFEST);
  }
}

/** Digest a person sees with skopeo: of the raw manifest, hashed here by sha256sum. */
export async function skopeoDigest(host: string, reference: string, credentials?: string): Promise<string> {
  const more = credentials === undefined ? [] : ['--creds', credentials];
  const command = `skopeo inspect --tls-verify=false --raw ${[...more, `docker://${host}/${reference}`].map((word) => `'${word}'`).join(' ')} | sha256sum`;
  const { stdout } = await run('sh', ['-c', command]);
  return `sha256:${stdout.slice(0, 64)}`;
}
