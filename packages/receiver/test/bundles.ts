import { createHash } from 'node:crypto';
import {
  type Artifact,
  encodeRelease,
  encodeTransport,
  PACK_MEMBER_LIMIT,
  type ReleaseStatement,
  type TransportObject,
  type TransportStatement,
  writePack,
} from '@sluice/bundle';
import type { Digest } from '@sluice/ports';
import { loadSigner, loadVerifier, makeKeyPair, signEnvelope, type Signer } from '@sluice/trust';

const pairs = {
  transport: makeKeyPair('Ed25519'),
  release: makeKeyPair('ECDSA-P256'),
  second: makeKeyPair('ECDSA-P384'),
  stranger: makeKeyPair('Ed25519'),
};
export type KeyName = keyof typeof pairs;
export const signers = Object.fromEntries(
  Object.entries(pairs).map(([name, { privatePem }]) => [name, loadSigner(privatePem)]),
) as Readonly<Record<KeyName, Signer>>;
export const verifiers = new Map(
  Object.values(pairs).map(({ publicPem }) => [loadVerifier(publicPem).keyid, loadVerifier(publicPem)] as const),
);

export const STATEMENT_TYPE = 'application/vnd.dsse.envelope.v1+json';
export const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Something that crosses the link. */
export interface Piece {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly contentType: string;
}

export const pieceOf = (bytes: Uint8Array, contentType: string): Piece => ({
  digest: digestOf(bytes),
  bytes,
  contentType,
});

/** A bundle as a sender makes it: both statements, and what else crosses the link. */
export interface Bundle {
  readonly id: Digest;
  readonly transport: Piece;
  readonly release: Piece;
  readonly objects: readonly Piece[];
  /** Content blobs, packed or not. */
  readonly blobs: readonly Uint8Array[];
}

export interface BundlePlan {
  readonly sequence: number;
  readonly previous?: Digest | null;
  readonly channel?: string;
  /** Content blobs: the small ones are packed. */
  readonly blobs: readonly Uint8Array[];
  /** Default: each blob as a file. */
  readonly artifacts?: readonly Artifact[];
  readonly transportKey?: KeyName;
  readonly releaseKeys?: readonly KeyName[];
  /** Changes to what the statements say. */
  readonly statement?: (statement: TransportStatement) => TransportStatement;
  /** The release's payload instead of the one made. */
  readonly release?: (payload: Uint8Array) => Uint8Array;
  /** What crosses the link instead of packs and blobs. */
  readonly objects?: (objects: readonly Piece[]) => readonly Piece[];
}

export const fileOf = (bytes: Uint8Array, path: string, over: Partial<Artifact> = {}): Artifact => ({
  name: path,
  type: 'file',
  digest: digestOf(bytes),
  size: bytes.length,
  total: bytes.length,
  target: { path },
  ...over,
});

const releaseOf = (artifacts: readonly Artifact[]): ReleaseStatement => ({
  name: 'platform',
  artifacts,
  approvedBy: ['Ada L.'],
});

/** Packs of the small blobs, and the large ones as they are. */
function piecesOf(blobs: readonly Uint8Array[]): Piece[] {
  const small = blobs.filter(({ length }) => length < PACK_MEMBER_LIMIT);
  const pack = writePack(small.map((bytes) => ({ digest: digestOf(bytes), bytes })));
  return [
    ...(small.length > 0 ? [pieceOf(pack, 'application/x-tar')] : []),
    ...blobs
      .filter(({ length }) => length >= PACK_MEMBER_LIMIT)
      .map((bytes) => pieceOf(bytes, 'application/octet-stream')),
  ];
}

/** Seals a bundle, good but for what the plan says. */
export function seal(plan: BundlePlan): Bundle {
  const { sequence, channel = 'prod', blobs, transportKey = 'transport', releaseKeys = ['release'] } = plan;
  const artifacts = plan.artifacts ?? blobs.map((bytes) => fileOf(bytes, `f-${digestOf(bytes).slice(7, 19)}`));
  const payload = encodeRelease(releaseOf(artifacts));
  const signed = signEnvelope(
    plan.release?.(payload) ?? payload,
    releaseKeys.map((name) => signers[name]),
  );
  const release = pieceOf(signed, STATEMENT_TYPE);
  const objects = plan.objects?.(piecesOf(blobs)) ?? piecesOf(blobs);
  const statement: TransportStatement = {
    channel,
    sequence,
    previous: plan.previous ?? (sequence === 1 ? null : digestOf(Buffer.from(`before ${sequence}`))),
    release: { digest: release.digest, size: release.bytes.length },
    objects: objects.map(({ digest, bytes, contentType }) => ({
      digest,
      size: bytes.length,
      contentType: contentType as TransportObject['contentType'],
    })),
    blobs: Math.max(1, blobs.length),
    bytes: blobs.reduce((sum, { length }) => sum + length, 0),
    seconds: 1_700_000_000,
  };
  const transport = encodeTransport(plan.statement?.(statement) ?? statement);
  const envelope = pieceOf(signEnvelope(transport, [signers[transportKey]]), STATEMENT_TYPE);
  return { id: envelope.digest, transport: envelope, release, objects, blobs };
}
