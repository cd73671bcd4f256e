import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** Standard output as it came: a manifest's digest counts its last line feed too. */
const run = (file: string, ...args: string[]): string =>
  execFileSync(file, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });

export interface Site {
  readonly name: string;
  /** host:port */
  readonly host: string;
  readonly credentials: string;
}

/** Digest of an image's manifest as skopeo sees it in a local layout: the raw bytes hashed by sha256sum. */
export function layoutDigest(layout: string, tag: string): string {
  return hashed(run('skopeo', 'inspect', '--raw', `oci:${layout}:${tag}`));
}

/** The raw manifest that a site serves, hashed by sha256sum, and what skopeo calls its digest. */
export function siteDigest(site: Site, repository: string, tag: string): string {
  const where = `docker://${site.host}/${repository}:${tag}`;
  const access = ['--tls-verify=false', '--creds', site.credentials];
  const raw = hashed(run('skopeo', 'inspect', '--raw', ...access, where));
  const told = run('skopeo', 'inspect', '--format', '{{.Digest}}', ...access, where).trim();
  if (told !== raw) throw new Error(`skopeo and sha256sum disagree on ${where}: ${told} and ${raw}`);
  return raw;
}

/** Pulls the image back, every layer of it; skopeo checks each blob's digest as it comes. */
export function pull(site: Site, repository: string, tag: string, into: string): string {
  mkdirSync(into, { recursive: true });
  const where = `docker://${site.host}/${repository}:${tag}`;
  run(
    'skopeo',
    'copy',
    '--quiet',
    '--src-tls-verify=false',
    '--src-creds',
    site.credentials,
    where,
    `oci:${into}:${tag}`,
  );
  return layoutDigest(into, tag);
}

const hashed = (text: string): string => {
  const output = execFileSync('sha256sum', { input: text, encoding: 'utf8' });
  return `sha256:${output.split(' ')[0] ?? ''}`;
};

export const fileDigest = (path: string): string => `sha256:${run('sha256sum', path).split(' ')[0] ?? ''}`;

export const delivered = (filesDirectory: string, name: string): string => fileDigest(join(filesDirectory, name));
