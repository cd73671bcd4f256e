import { closeSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { CONTENT_TYPES, fitsBlocks, isSymbolBytes, MAX_BLOCK_MAX, OBJECT_BYTES_MAX } from '@sluice/alc';
import { partition } from '@sluice/fec';
import { isDigest } from '@sluice/ports';
import type { HandoverItem, ObjectInfo } from '@sluice/transfer';

const NAME = 'handover';
/** Of each record: length of its JSON, length of what follows it, CRC-32 of both; 32 bits each, little endian. */
const HEAD_BYTES = 12;
const JSON_BYTES = 4096;
/** The symbols of one block. */
const SYMBOLS_BYTES = 255 * 8896;
const ASIDS = 16;

/** How much is handed over: records, and bytes of symbols in them. */
export interface Handed {
  readonly records: number;
  readonly bytes: number;
}

/**
 * Writes what the next process takes over. Not synced: a loss of power costs what is in memory anyway, and a record that
 * is damaged by it is noticed. @throws an error of the file system; then nothing is handed over
 */
export function writeHandover(directory: string, items: Iterable<HandoverItem>): Handed {
  const path = join(directory, NAME);
  const file = openSync(`${path}.new`, 'w', 0o600);
  let [records, bytes] = [0, 0];
  try {
    for (const item of items) {
      for (const piece of recordOf(item)) for (let at = 0; at < piece.length;) at += writeSync(file, piece, at);
      records += 1;
      if (item.type === 'block') bytes += item.symbols.length;
    }
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
  return { records, bytes };
}

function recordOf(item: HandoverItem): readonly Uint8Array[] {
  const symbols = item.type === 'block' ? item.symbols : new Uint8Array();
  const told = item.type === 'block' ? { ...item, esis: [...item.esis], symbols: undefined } : item;
  const json = Buffer.from(JSON.stringify(told));
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(json.length, 0);
  head.writeUInt32LE(symbols.length, 4);
  head.writeUInt32LE(crc32(symbols, crc32(json)), 8);
  return [head, json, symbols];
}

/**
 * What the process before handed over, up to the first record that is not as it should be. The file is gone from the first
 * item on: what ends this process while it takes over does not meet it again.
 */
export function* readHandover(directory: string): Generator<HandoverItem> {
  const path = join(directory, NAME);
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    rmSync(path);
    for (let item = readItem(file); item !== undefined; item = readItem(file)) yield item;
  } finally {
    closeSync(file);
  }
}

function readItem(file: number): HandoverItem | undefined {
  const head = take(file, HEAD_BYTES);
  if (head === undefined) return undefined;
  const [jsonBytes, symbolBytes] = [head.readUInt32LE(0), head.readUInt32LE(4)];
  if (jsonBytes > JSON_BYTES || symbolBytes > SYMBOLS_BYTES) return undefined;
  const json = take(file, jsonBytes);
  const symbols = take(file, symbolBytes);
  if (json === undefined || symbols === undefined || crc32(symbols, crc32(json)) !== head.readUInt32LE(8))
    return undefined;
  try {
    return itemOf(JSON.parse(json.toString('utf8')) as Fields, symbols);
  } catch {
    return undefined;
  }
}

function take(file: number, bytes: number): Buffer | undefined {
  const piece = Buffer.alloc(bytes);
  for (let at = 0; at < bytes;) {
    const got = readSync(file, piece, at, bytes - at, null);
    if (got === 0) return undefined;
    at += got;
  }
  return piece;
}

type Fields = Readonly<Record<string, unknown>>;

/** It was us who wrote it; still, nothing is taken that could not be from us. */
function itemOf(fields: Fields, symbols: Uint8Array): HandoverItem | undefined {
  const { type, tsi, toi, sn, sbn, esis } = fields;
  if (type === 'seen') return isWhole(tsi, 2 ** 32) && isWhole(sn, 2 ** 40) ? { type, tsi, sn } : undefined;
  const info = infoOf(fields.info as Fields);
  if (info === undefined) return undefined;
  if (type === 'name') return isWhole(tsi, 2 ** 32) && isWhole(toi, 2 ** 32) ? { type, tsi, toi, info } : undefined;
  if (type !== 'block' || !Array.isArray(esis) || new Set(esis).size < esis.length) return undefined;
  if (!isWhole(sbn, partition(info.size, info.symbolBytes, info.maxBlock).blocks)) return undefined;
  if (!esis.every((esi) => isWhole(esi, 255)) || symbols.length !== esis.length * info.symbolBytes) return undefined;
  return { type, info, sbn, esis: Uint8Array.from(esis), symbols };
}

function infoOf({
  digest,
  size,
  contentType: told,
  symbolBytes,
  maxBlock,
  asid,
  channel,
}: Fields): ObjectInfo | undefined {
  const contentType = CONTENT_TYPES.find((each) => each === told);
  if (contentType === undefined || !isDigest(digest) || typeof channel !== 'string') return undefined;
  if (!isWhole(size, OBJECT_BYTES_MAX + 1) || !isWhole(maxBlock, MAX_BLOCK_MAX + 1) || !isWhole(asid, ASIDS))
    return undefined;
  if (size === 0 || maxBlock === 0 || typeof symbolBytes !== 'number' || !isSymbolBytes(symbolBytes)) return undefined;
  if (!fitsBlocks(size, symbolBytes, maxBlock)) return undefined;
  return { digest, size, contentType, symbolBytes, maxBlock, asid, channel };
}

const isWhole = (value: unknown, limit: number): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value < limit;
