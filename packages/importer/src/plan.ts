import { type Artifact, cosignTag, parseManifest } from '@sluice/bundle';
import { type BundleCode, type Digest, ok, refuse, type Result } from '@sluice/ports';
import { type PushSource, readStored } from '@sluice/registry';
import { type Ordered, subjectsFirst } from './order.ts';

export interface OciArtifact extends Artifact {
  readonly mediaType: string;
  readonly target: { readonly repository: string; readonly tags: readonly string[] };
}
export interface FileArtifact extends Artifact {
  readonly target: { readonly path: string };
}

/** What to do with a release, in order. */
export interface Plan {
  /** Subjects before what refers to them. */
  readonly oci: readonly OciArtifact[];
  readonly files: readonly FileArtifact[];
  /** Projects of Harbor that are needed. */
  readonly projects: readonly string[];
}

export interface PlanRefusal {
  readonly code: BundleCode | 'unsupported-type';
  readonly detail: string;
}

/** Sorts the artifacts; refuses what this importer cannot deliver before anything is pushed. */
export async function makePlan(
  artifacts: readonly Artifact[],
  source: PushSource,
  canDeliverFiles: boolean,
): Promise<Result<Plan, PlanRefusal>> {
  const oci: Ordered<OciArtifact>[] = [];
  const files: FileArtifact[] = [];
  for (const artifact of artifacts) {
    const { name, type, mediaType, target } = artifact;
    if (target.path !== undefined && canDeliverFiles) files.push({ ...artifact, target: { path: target.path } });
    else if (target.path !== undefined || type === 'git') return unsupported(name, type);
    else if (target.repository === undefined || mediaType === undefined)
      throw new Error(`artifact ${name} has no target`);
    else {
      const { repository, tags = [] } = target;
      if (!repository.includes('/')) {
        return refuse(
          'repository-not-allowed',
          `artifact ${name} goes to ${repository}, which names no project of Harbor`,
        );
      }
      const made = { ...artifact, mediaType, target: { repository, tags } };
      const subjects = await subjectsOf(made, source);
      if (!subjects.ok) return subjects;
      oci.push({ artifact: made, subjects: subjects.value });
    }
  }
  const projects = [...new Set(oci.map(({ artifact }) => artifact.target.repository.split('/')[0] ?? ''))];
  return ok({ oci: subjectsFirst(oci), files, projects });
}

const unsupported = (name: string, type: string): Result<never, PlanRefusal> => ({
  ok: false,
  error: {
    code: 'unsupported-type',
    detail: `artifact ${name} is of type ${type}, which this importer is not set up to deliver`,
  },
});

/** What an artifact is about: the subject of its manifest, and what its cosign tags name. */
async function subjectsOf(artifact: OciArtifact, source: PushSource): Promise<Result<readonly Digest[]>> {
  const bytes = await readStored(source, artifact.digest);
  if (!bytes.ok) return bytes;
  const document = parseManifest(bytes.value, artifact.mediaType);
  if (!document.ok) return document;
  const tagged = artifact.target.tags.flatMap((tag) => cosignTag(tag)?.subject ?? []);
  const { subject } = document.value;
  return ok(subject === undefined ? tagged : [subject.digest, ...tagged]);
}
