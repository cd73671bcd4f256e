import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const umoci = (...args: string[]): void => {
  execFileSync('umoci', args, { stdio: ['ignore', 'ignore', 'inherit'] });
};

export interface DemoInput {
  /** What goes into the bundle. */
  readonly paths: readonly string[];
  /** Images as they are known at the registries. */
  readonly images: readonly { readonly repository: string; readonly tag: string; readonly layout: string }[];
  readonly files: readonly { readonly path: string; readonly name: string }[];
  /** `--repository` of `sluice release create`. */
  readonly repositories: readonly string[];
}

/** An image of one directory tree, made by umoci in an OCI layout of its own. */
function makeImage(dir: string, name: string, tag: string, fill: (root: string) => void, command: string): string {
  const layout = join(dir, name);
  const root = join(dir, `${name}-root`);
  mkdirSync(join(root, 'bin'), { recursive: true });
  fill(root);
  umoci('init', '--layout', layout);
  umoci('new', '--image', `${layout}:${tag}`);
  umoci('insert', '--rootless', '--image', `${layout}:${tag}`, join(root, 'bin'), '/bin');
  umoci('config', '--image', `${layout}:${tag}`, '--architecture', 'amd64', '--os', 'linux', '--config.cmd', command);
  return layout;
}

/** Real input, made by tools that are not ours: busybox, an image with the whole Node runtime, and a file. */
export function makeInput(dir: string): DemoInput {
  mkdirSync(dir, { recursive: true });
  const busybox = makeImage(
    dir,
    'busybox',
    '1.35',
    (root) => {
      copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
    },
    '/bin/busybox',
  );
  const node = makeImage(
    dir,
    'node',
    process.version.slice(1),
    (root) => {
      copyFileSync(process.execPath, join(root, 'bin/node'));
    },
    '/bin/node',
  );
  const file = join(dir, 'release-notes.txt');
  writeFileSync(file, 'busybox 1.35 and the Node runtime, for the isolated platform.\n');
  return {
    paths: [busybox, node, file],
    images: [
      { repository: 'library/busybox', tag: '1.35', layout: busybox },
      { repository: 'library/node', tag: process.version.slice(1), layout: node },
    ],
    files: [{ path: file, name: 'release-notes.txt' }],
    repositories: [`${busybox}=library/busybox`, `${node}=library/node`],
  };
}
