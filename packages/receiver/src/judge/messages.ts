import type { Artifact, ArtifactType, ChannelPolicy, Target, TransportStatement } from '@sluice/bundle';
import type { Digest, Refusal } from '@sluice/ports';

/** What the thread is started with: policy and keys of each channel. Keys cross as text. */
export interface JudgeOptions {
  readonly channels: readonly { readonly policy: ChannelPolicy; readonly keys: readonly string[] }[];
}

/** The same, and what the thread beats on (`Pulse`). */
export interface JudgeData extends JudgeOptions {
  readonly pulse: SharedArrayBuffer;
}

/** A statement in the spool. */
export interface StatementFile {
  readonly path: string;
  readonly digest: Digest;
  readonly size: number;
  /** Its bytes, where it lies in no file. */
  readonly bytes?: Uint8Array;
}

/** Other policies and keys count from here on. */
export type JudgeTrust = JudgeOptions & { readonly call: 0 };

export type ToJudge = {
  readonly call: number;
  /** By whose key it came. */
  readonly channel: string;
  readonly file: StatementFile;
  /** Most bytes of it that are looked at. */
  readonly limit: number;
  /** The transport statement that names it as its release; undefined for one that may be of any kind. */
  readonly transport: TransportStatement | undefined;
};

/** An artifact of one blob, as a row of columns. */
export interface PlainArtifacts {
  /** Names, one a line: they hold no control characters. */
  readonly names: string;
  /** 32 bytes each. */
  readonly digests: Uint8Array;
  readonly sizes: Float64Array;
}

/** What of a release is needed beyond its judgement. A hundred thousand files cross as four pieces of memory. */
export interface JudgedRelease {
  readonly digest: Digest;
  /** Of the statement in the envelope. */
  readonly content: Digest;
  readonly envelope: Uint8Array;
  readonly signers: readonly string[];
  readonly name: string;
  readonly artifacts: number;
  /** Those with a version. */
  readonly versions: readonly VersionedArtifact[];
  /** Those with a closure. */
  readonly oci: readonly OciArtifact[];
  readonly plain: PlainArtifacts;
}

export type OciArtifact = Artifact & { readonly mediaType: string };

export interface VersionedArtifact {
  readonly name: string;
  readonly type: ArtifactType;
  readonly target: Target;
  readonly version: number;
}

/** A verified transport statement. */
export interface JudgedTransport {
  readonly id: Digest;
  readonly envelope: Uint8Array;
  readonly statement: TransportStatement;
  readonly signer: string;
}

export type Judgement =
  /** The bytes are not what the digest says, or gone: of no others may it be judged. */
  | { readonly type: 'damaged' }
  | { readonly type: 'transport'; readonly transport: JudgedTransport }
  /** A release, which waits for the transport statement that names it. */
  | { readonly type: 'unnamed-release' }
  | { readonly type: 'release'; readonly release: JudgedRelease }
  | { readonly type: 'refused'; readonly refusal: Refusal };

export type FromJudge =
  | { readonly call: number; readonly judgement: Judgement }
  /** An error of the file system. */
  | { readonly call: number; readonly failure: { readonly code: string; readonly message: string } };
