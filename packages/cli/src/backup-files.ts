import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { OperationalError } from '@sluice/ports';

/** What a file of a backup is for. */
export type BackupKind = 'ledger' | 'session' | 'config' | 'trust' | 'key';

export interface BackupFile {
  /** Within the backup. */
  readonly path: string;
  readonly kind: BackupKind;
  /** Where it was. */
  readonly from: string;
  readonly size: number;
  readonly sha256: string;
}

export const BACKUP_SIDES = ['sender', 'receiver', 'importer'] as const;
export type BackupSide = (typeof BACKUP_SIDES)[number];

export interface Manifest {
  readonly v: 1;
  readonly side: BackupSide;
  /** Unix milliseconds. */
  readonly created: number;
  readonly schema: number;
  /** The chain's last entry at that time. */
  readonly entries: number;
  readonly head: string;
  readonly channels: readonly string[];
  readonly files: readonly BackupFile[];
}

const KINDS: readonly BackupKind[] = ['ledger', 'session', 'config', 'trust', 'key'];
const PATH = /^[a-z]+(\/[A-Za-z0-9._-]+)*$|^[a-z]+\.sqlite$/;
const SECRET_MODE = 0o600;
/** The daemons are not root. */
const PLAIN_MODE = 0o644;

export const damaged = (what: string): OperationalError =>
  new OperationalError('backup-damaged', `the backup is not whole: ${what}; take another one`, { retryable: false });

export const refused = (what: string): OperationalError =>
  new OperationalError('restore-refused', what, { retryable: false });

export function syncPath(path: string): void {
  const file = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

export const modeOf = (kind: BackupKind): number => (kind === 'trust' || kind === 'config' ? PLAIN_MODE : SECRET_MODE);

/** What lies at a path of a backup, for the manifest. */
export function described(directory: string, path: string, kind: BackupKind, from: string): BackupFile {
  const bytes = readFileSync(join(directory, path));
  return { path, kind, from, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** Copies a file into a backup, under a name that tells it from others of its name. */
export function taken(directory: string, from: string, kind: BackupKind, number: number): BackupFile {
  const name =
    from
      .split('/')
      .at(-1)
      ?.replaceAll(/[^A-Za-z0-9._-]/g, '_') ?? 'file';
  const path = `${kind}/${String(number)}-${name}`;
  const to = join(directory, path);
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
  copyFileSync(from, to, constants.COPYFILE_EXCL);
  chmodSync(to, modeOf(kind));
  syncPath(to);
  return described(directory, path, kind, from);
}

/** The manifest of a backup, with every file as it says. @throws OperationalError `backup-damaged` */
export function readManifest(directory: string): { readonly manifest: Manifest; readonly sha256: string } {
  let text: Buffer;
  try {
    text = readFileSync(join(directory, 'manifest.json'));
  } catch {
    throw damaged(`${directory} has no manifest.json`);
  }
  const sha256 = createHash('sha256').update(text).digest('hex');
  const manifest = parsed(text);
  if (manifest === undefined) throw damaged('its manifest is none of this version');
  for (const file of manifest.files) {
    const path = join(directory, file.path);
    if (!existsSync(path)) throw damaged(`${file.path} is gone`);
    const found = described(directory, file.path, file.kind, file.from);
    if (found.size !== file.size || found.sha256 !== file.sha256) throw damaged(`${file.path} is not what it was`);
  }
  return { manifest, sha256 };
}

function parsed(text: Buffer): Manifest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { v, side, created, files, channels } = value as Partial<Record<keyof Manifest, unknown>>;
  const isFile = (file: unknown): boolean => {
    if (typeof file !== 'object' || file === null) return false;
    const { path, kind, from, size, sha256 } = file as Partial<Record<keyof BackupFile, unknown>>;
    return (
      typeof path === 'string' &&
      PATH.test(path) &&
      !path.includes('..') &&
      KINDS.some((known) => known === kind) &&
      typeof from === 'string' &&
      from.startsWith('/') &&
      typeof size === 'number' &&
      typeof sha256 === 'string'
    );
  };
  const isOurs =
    v === 1 &&
    BACKUP_SIDES.some((known) => known === side) &&
    typeof created === 'number' &&
    Array.isArray(channels) &&
    channels.every((channel) => typeof channel === 'string') &&
    Array.isArray(files) &&
    files.every(isFile);
  return isOurs ? (value as Manifest) : undefined;
}

/** Writes what is not there yet, for the owner of the directory; false for what is. */
export function putBack(directory: string, { path, from, kind }: BackupFile): boolean {
  if (existsSync(from)) return false;
  const parent = dirname(from);
  mkdirSync(parent, { recursive: true, mode: 0o750 });
  writeFileSync(from, readFileSync(join(directory, path)), { flag: 'wx', mode: modeOf(kind) });
  ownAs(from, parent);
  syncPath(from);
  syncPath(parent);
  return true;
}

/** What root writes belongs to whom the directory does. */
export function ownAs(path: string, directory: string): void {
  const { uid, gid } = statSync(directory);
  const now = statSync(path);
  if (now.uid !== uid || now.gid !== gid) chownSync(path, uid, gid);
}
