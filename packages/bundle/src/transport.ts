import type { Digest, Result } from '@sluice/ports';
import { countAt, digestAt, fail, listAt, literalAt, objectAt, reading, textAt } from './fields.ts';
import { encodeStatement, readStatement } from './statement.ts';

export const OBJECT_TYPES = ['application/x-tar', 'application/octet-stream'] as const;

/** A link object of a bundle besides its statements (docs/PROTOCOL.md B-5). */
export interface TransportObject {
  readonly digest: Digest;
  readonly size: number;
  readonly contentType: (typeof OBJECT_TYPES)[number];
}

/** The sender's statement of one bundle (docs/PROTOCOL.md section 8). */
export interface TransportStatement {
  readonly channel: string;
  /** From 1, without gaps. */
  readonly sequence: number;
  /** Digest of the transport envelope before, null for the first. */
  readonly previous: Digest | null;
  /** The release envelope. */
  readonly release: { readonly digest: Digest; readonly size: number };
  readonly objects: readonly TransportObject[];
  /** Content blobs, each counted once, and their bytes. */
  readonly blobs: number;
  readonly bytes: number;
  /** Sender time of the seal, Unix seconds. */
  readonly seconds: number;
}

/** The transport statement in its one spelling (B-13), whatever the order of the keys in `transport`. */
export function encodeTransport(transport: TransportStatement): Uint8Array {
  const { channel, sequence, previous, release, objects, blobs, bytes, seconds } = transport;
  return encodeStatement('transport', [{ name: 'release', digest: release.digest }], {
    channel,
    sequence,
    previous,
    release: { digest: release.digest, size: release.size },
    objects: objects.map(({ digest, size, contentType }) => ({ digest, size, contentType })),
    blobs,
    bytes,
    seconds,
  });
}

/** Refuses what the JSON parser refuses, `statement-malformed`, `predicate-type`, `digest-algorithm`. */
export function parseTransport(payload: Uint8Array): Result<TransportStatement> {
  return reading(() => {
    const { subject, predicate } = readStatement(payload, 'transport');
    const keys = ['channel', 'sequence', 'previous', 'release', 'objects', 'blobs', 'bytes', 'seconds'];
    const fields = objectAt(predicate, 'predicate', keys);
    const release = objectAt(fields.release, 'release', ['digest', 'size']);
    const sequence = countAt(fields.sequence, 'sequence', 1);
    const transport: TransportStatement = {
      channel: textAt(fields.channel, 'channel'),
      sequence,
      previous: fields.previous === null ? null : digestAt(fields.previous, 'previous'),
      release: { digest: digestAt(release.digest, 'release.digest'), size: countAt(release.size, 'release.size', 1) },
      objects: listAt(fields.objects, 'objects').map((item, i) => {
        const where = `objects[${String(i)}]`;
        const { digest, size, contentType } = objectAt(item, where, ['digest', 'size', 'contentType']);
        return {
          digest: digestAt(digest, `${where}.digest`),
          size: countAt(size, `${where}.size`, 1),
          contentType: literalAt(contentType, `${where}.contentType`, OBJECT_TYPES),
        };
      }),
      blobs: countAt(fields.blobs, 'blobs', 1),
      bytes: countAt(fields.bytes, 'bytes'),
      seconds: countAt(fields.seconds, 'seconds'),
    };
    if ((transport.previous === null) !== (sequence === 1)) {
      fail('statement-malformed', 'previous is null for sequence 1, and only there');
    }
    if (subject.length !== 1 || subject[0]?.digest !== transport.release.digest) {
      fail('statement-malformed', 'the subject is not the release');
    }
    if (new Set(transport.objects.map((object) => object.digest)).size < transport.objects.length) {
      fail('statement-malformed', 'an object is listed twice');
    }
    return transport;
  });
}
