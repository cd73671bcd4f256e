import { closeSync, readSync } from 'node:fs';
import {
  type Artifact,
  type VerifiedTransport,
  type VerifyContext,
  verifyRelease,
  verifyTransport,
} from '@sluice/bundle';
import type { Refusal } from '@sluice/ports';
import { loadVerifier, sha256, sha256Digest } from '@sluice/trust';
import { openSpooledSync } from '../spooled.ts';
import { whyNotTransport } from '../statements.ts';
import type {
  FromJudge,
  JudgedRelease,
  Judgement,
  JudgeOptions,
  JudgeTrust,
  OciArtifact,
  StatementFile,
  ToJudge,
  VersionedArtifact,
} from './messages.ts';
import { columnsOf } from './plain.ts';

/** Judges statements, with calls that block: what the thread does. */
export class Bench {
  #channels: ReadonlyMap<string, VerifyContext>;
  readonly #tell: (message: FromJudge) => void;

  constructor(options: JudgeOptions, tell: (message: FromJudge) => void) {
    this.#tell = tell;
    this.#channels = contextsOf(options);
  }

  take(message: ToJudge | JudgeTrust): void {
    if ('channels' in message) {
      this.#channels = contextsOf(message);
      return;
    }
    const { call } = message;
    try {
      this.#tell({ call, judgement: this.#judge(message) });
    } catch (error) {
      const { code, message: text } = error as NodeJS.ErrnoException;
      // What is no error of the file system is a mistake of ours.
      if (code === undefined) throw error;
      // A file that link names and that is not there does not come back: it is gathered again.
      if (code === 'ENOENT') this.#tell({ call, judgement: { type: 'damaged' } });
      else this.#tell({ call, failure: { code, message: text } });
    }
  }

  #judge({ channel, file, limit, transport }: ToJudge): Judgement {
    const context = this.#channels.get(channel);
    if (context === undefined) throw new Error(`there is no channel ${channel}`);
    const envelope = file.bytes ?? readFile(file, limit);
    if (sha256Digest(envelope) !== file.digest) return { type: 'damaged' };
    return transport === undefined
      ? judgeAny(envelope, context)
      : judgeRelease(envelope, { statement: transport } as VerifiedTransport, context);
  }
}

const contextsOf = ({ channels }: JudgeOptions): ReadonlyMap<string, VerifyContext> =>
  new Map(
    channels.map(({ policy, keys }) => {
      const verifiers = new Map(keys.map(loadVerifier).map((verifier) => [verifier.keyid, verifier]));
      return [policy.channel, { policy, verifiers, sha256 }];
    }),
  );

function judgeAny(envelope: Uint8Array, context: VerifyContext): Judgement {
  const transport = verifyTransport(envelope, context);
  if (transport.ok) return { type: 'transport', transport: transport.value };
  const refusal: Refusal | undefined = whyNotTransport(envelope, transport.error);
  return refusal === undefined ? { type: 'unnamed-release' } : { type: 'refused', refusal };
}

/** Versions are the ledger's to compare, which is not ours. */
function judgeRelease(envelope: Uint8Array, transport: VerifiedTransport, context: VerifyContext): Judgement {
  const verified = verifyRelease(envelope, transport, { ...context, versionOf: () => undefined });
  if (!verified.ok) return { type: 'refused', refusal: verified.error };
  const { digest, content, signers, statement } = verified.value;
  const { name, artifacts } = statement;
  const release: JudgedRelease = {
    digest,
    content,
    envelope,
    signers,
    name,
    artifacts: artifacts.length,
    versions: artifacts.flatMap(versioned),
    oci: artifacts.flatMap(oci),
    plain: columnsOf(artifacts.filter(({ mediaType }) => mediaType === undefined)),
  };
  return { type: 'release', release };
}

const oci = (artifact: Artifact): readonly OciArtifact[] => {
  const { mediaType } = artifact;
  return mediaType === undefined ? [] : [{ ...artifact, mediaType }];
};

const versioned = ({ name, type, target, version }: Artifact): readonly VersionedArtifact[] =>
  version === undefined ? [] : [{ name, type, target, version }];

/** One byte more than may be there shows that it is too long: then the digest does not hold. */
function readFile({ path, size }: StatementFile, limit: number): Uint8Array<ArrayBuffer> {
  const descriptor = openSpooledSync(path);
  try {
    const bytes = new Uint8Array(Math.min(size, limit) + 1);
    let done = 0;
    while (done < bytes.length) {
      const got = readSync(descriptor, bytes, done, bytes.length - done, done);
      if (got === 0) break;
      done += got;
    }
    return bytes.subarray(0, done);
  } finally {
    closeSync(descriptor);
  }
}
