import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { encodeEnvelope, preAuthEncoding, STATEMENT_TYPE, tarHeader, tarPadding, tarTrailer } from '@sluice/bundle';
import type { Signer } from '@sluice/trust';

const PIECE_BYTES = 1024 * 1024;
export const CASE_PREDICATE = 'urn:sluice:case:v1';

/** A tar of a case: members one after the other, then a signed manifest of all of them. */
export class CaseArchive {
  readonly #file: number;
  readonly #members: { readonly name: string; readonly sha256: string }[] = [];

  constructor(path: string) {
    this.#file = openSync(path, 'wx', 0o640);
  }

  add(name: string, bytes: Uint8Array | string): void {
    const content = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    this.#write(tarHeader({ path: name, type: 'file', size: content.length }));
    this.#write(content);
    this.#write(new Uint8Array(tarPadding(content.length)));
    this.#members.push({ name, sha256: createHash('sha256').update(content).digest('hex') });
  }

  addJson(name: string, value: unknown): void {
    this.add(name, `${JSON.stringify(value, undefined, 2)}\n`);
  }

  addFile(name: string, path: string): void {
    const { size } = statSync(path);
    this.#write(tarHeader({ path: name, type: 'file', size }));
    const hash = createHash('sha256');
    const file = openSync(path, 'r');
    const piece = new Uint8Array(PIECE_BYTES);
    try {
      for (let done = 0; done < size;) {
        const got = readSync(file, piece, 0, Math.min(piece.length, size - done), done);
        if (got === 0) throw new Error(`${path} has become shorter`);
        hash.update(piece.subarray(0, got));
        this.#write(piece.subarray(0, got));
        done += got;
      }
    } finally {
      closeSync(file);
    }
    this.#write(new Uint8Array(tarPadding(size)));
    this.#members.push({ name, sha256: hash.digest('hex') });
  }

  /** The manifest, an in-toto statement about every member, and the end. */
  finish(signer: Signer, predicate: Readonly<Record<string, unknown>>): number {
    const subject = this.#members.map(({ name, sha256 }) => ({ name, digest: { sha256 } }));
    const statement = { _type: STATEMENT_TYPE, subject, predicateType: CASE_PREDICATE, predicate };
    const payload = Buffer.from(JSON.stringify(statement));
    const signature = { keyid: signer.keyid, sig: signer.sign(preAuthEncoding(payload)) };
    const envelope = encodeEnvelope({ payload, signatures: [signature] });
    this.#write(tarHeader({ path: 'manifest.dsse.json', type: 'file', size: envelope.length }));
    this.#write(envelope);
    this.#write(new Uint8Array(tarPadding(envelope.length)));
    this.#write(tarTrailer());
    closeSync(this.#file);
    return subject.length;
  }

  #write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) done += writeSync(this.#file, bytes, done);
  }
}
