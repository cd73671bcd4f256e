import { cosignTag, type Receipt } from '@sluice/bundle';
import { type Digest, ok, type Result } from '@sluice/ports';
import { proveArtifact, publishTag, pushArtifact, readStored, type PushSource } from '@sluice/registry';
import type { FileSite, StagedFile } from './files.ts';
import type { ImportPorts } from './pipeline.ts';
import type { FileArtifact, OciArtifact, Plan } from './plan.ts';

/** Contents that are where they belong, with no tag and under no path yet. */
export interface Delivery {
  readonly oci: readonly (OciArtifact & { readonly bytes: Uint8Array })[];
  readonly files: readonly (FileArtifact & { readonly staged: StagedFile })[];
}

/** Brings in every content by digest: images pushed, files staged. One wrong byte refuses the whole bundle before any name changes. */
export async function deliver(ports: ImportPorts, plan: Plan): Promise<Result<Delivery>> {
  for (const project of plan.projects) await ensureProject(ports, project);
  const source = counted(ports);
  const holders = new Map<Digest, string>();
  const oci: Delivery['oci'][number][] = [];
  for (const artifact of plan.oci) {
    const { repository } = artifact.target;
    const { registry, harbor } = ports.home;
    const target = {
      registry,
      harbor,
      repository,
      mountFrom: (digest: Digest) => (holders.get(digest) === repository ? undefined : holders.get(digest)),
      onBlob: (digest: Digest, size: number, how: string): void => {
        holders.set(digest, repository);
        ports.onEvent({ stop: 'blob', repository, digest, size, how });
      },
    };
    const pushed = await pushArtifact(target, source, artifact);
    if (!pushed.ok) return pushed;
    const bytes = await readStored(ports.store, artifact.digest);
    if (!bytes.ok) return bytes;
    oci.push({ ...artifact, bytes: bytes.value });
    ports.onEvent({ stop: 'artifact', artifact: artifact.name, digest: artifact.digest });
  }
  const files = await stageFiles(ports, plan.files);
  return files.ok ? ok({ oci, files: files.value }) : files;
}

async function stageFiles(ports: ImportPorts, artifacts: readonly FileArtifact[]): Promise<Result<Delivery['files']>> {
  const files: Delivery['files'][number][] = [];
  for (const artifact of artifacts) {
    const { digest, size, target } = artifact;
    const staged = await filesOf(ports).stage(ports.store, target.path, digest, size);
    if (!staged.ok) return staged;
    files.push({ ...artifact, staged: staged.value });
    ports.onEvent({ stop: 'artifact', artifact: artifact.name, digest });
  }
  return ok(files);
}

function filesOf(ports: ImportPorts): FileSite {
  if (ports.files === undefined) throw new Error('a file was planned where none can be delivered');
  return ports.files;
}

async function ensureProject({ home: { harbor }, projects, onEvent }: ImportPorts, project: string): Promise<void> {
  if (!projects.create || (await harbor.projectExists(project))) return;
  await harbor.createProject(project, projects.metadata);
  onEvent({ stop: 'project', project });
}

/** The store, telling what it gives: an upload that moves is progress. */
function counted({ store, onEvent }: ImportPorts): PushSource {
  return {
    readVerified: (digest, limit) => store.readVerified(digest, limit),
    read: async (digest) => tell(await store.read(digest), onEvent),
  };
}

async function* tell(bytes: AsyncIterable<Uint8Array>, onEvent: ImportPorts['onEvent']): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    onEvent({ stop: 'bytes', bytes: piece.length });
    yield piece;
  }
}

/** Name under which the ledger keeps a file's place; no repository has a colon. */
const FILE = 'file:';

/**
 * Gives the contents their names: signature tags, then tags, then files. A name that a later bundle of the same channel has set is
 * left alone. Resolves to these names (`repository:tag` or path).
 */
export async function publish(
  ports: ImportPorts,
  { oci, files }: Delivery,
  place: { readonly channel: string; readonly sequence: number },
): Promise<ReadonlySet<string>> {
  const superseded = new Set<string>();
  /** Written down before the name moves: a crash in between must not let an older bundle pass. */
  const claim = (where: string, tag: string, digest: Digest): boolean => {
    if (ports.ledger.tagSequence(where, tag, place.channel) > place.sequence) return false;
    ports.ledger.recordTag(where, tag, place.channel, place.sequence, digest);
    return true;
  };
  const named = oci.flatMap((artifact) => artifact.target.tags.map((tag) => ({ artifact, tag })));
  const isSignature = ({ tag }: { readonly tag: string }): boolean => cosignTag(tag) !== undefined;
  for (const { artifact, tag } of [...named.filter(isSignature), ...named.filter((each) => !isSignature(each))]) {
    const { repository } = artifact.target;
    const mine = claim(repository, tag, artifact.digest);
    if (!mine) superseded.add(`${repository}:${tag}`);
    const how = mine ? await publishTag({ ...ports.home, repository }, artifact, tag) : 'superseded';
    ports.onEvent({ stop: 'tag', repository, tag, how });
  }
  for (const { staged } of files) {
    const mine = claim(`${FILE}${staged.path}`, '', staged.digest);
    if (mine) await filesOf(ports).publish(staged);
    else superseded.add(staged.path);
  }
  await ports.files?.discard(files.map(({ staged }) => staged));
  return superseded;
}

/** Reads everything back, at home and at every destination, and gives what a receipt says about it. */
export async function proveDelivery(
  ports: ImportPorts,
  { oci, files }: Delivery,
  superseded: ReadonlySet<string>,
): Promise<Receipt['artifacts']> {
  const artifacts: Receipt['artifacts'][number][] = [];
  for (const artifact of oci) {
    const { name, digest, target } = artifact;
    const tags = target.tags.filter((tag) => !superseded.has(`${target.repository}:${tag}`));
    const sites: { site: string; digest: Digest }[] = [];
    for (const { name: site, registry } of [ports.home, ...ports.destinations]) {
      const seen = await proveArtifact(registry, target.repository, artifact, tags);
      sites.push({ site, digest: seen });
      ports.onEvent({ stop: 'proof', site, artifact: name, digest: seen });
    }
    artifacts.push({ name, digest, sites });
  }
  for (const { name, digest, staged } of files) {
    if (superseded.has(staged.path)) continue;
    const seen = await filesOf(ports).publish(staged);
    artifacts.push({ name, digest, sites: [{ site: ports.home.name, digest: seen }] });
    ports.onEvent({ stop: 'proof', site: ports.home.name, artifact: name, digest: seen });
  }
  return artifacts;
}
