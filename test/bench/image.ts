import { cpSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DemoInput } from '../demo/input.ts';
import type { Input } from './input.ts';

interface Descriptor {
  readonly digest: string;
}

interface Document {
  readonly manifests?: readonly Descriptor[];
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
}

const hexOf = ({ digest }: Descriptor): string => digest.slice('sha256:'.length);

/** What an OCI layout's index leads to, itself not counted. */
function closure(layout: string): Set<string> {
  const blob = (hex: string): Document =>
    JSON.parse(readFileSync(join(layout, 'blobs/sha256', hex), 'utf8')) as Document;
  const found = new Set<string>();
  const { manifests = [] } = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as Document;
  const waiting = manifests.map(hexOf);
  for (const hex of waiting) {
    found.add(hex);
    const { manifests: children = [], config, layers = [] } = blob(hex);
    waiting.push(...children.map(hexOf));
    for (const leaf of [...layers, ...(config === undefined ? [] : [config])]) found.add(hexOf(leaf));
  }
  return found;
}

/** The demo's images as a bundle: layouts made by umoci, beside each other in one directory. */
export function makeImages(made: DemoInput, directory: string): Input {
  const digests = new Set<string>();
  let bytes = 0;
  for (const { layout } of made.images) {
    cpSync(layout, join(directory, basename(layout)), { recursive: true });
    for (const hex of closure(layout)) {
      if (!digests.has(hex)) bytes += statSync(join(layout, 'blobs/sha256', hex)).size;
      digests.add(hex);
    }
  }
  return { directory, bytes, digests: [...digests] };
}
