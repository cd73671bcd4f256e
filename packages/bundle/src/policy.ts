import { ok, refuse, type Result } from '@sluice/ports';
import { type Artifact, type ArtifactType, type ReleaseStatement, targetName } from './release.ts';

/** The numbers of a channel for which a key counts, both ends among them. Not times: no clock has a say in it. */
export interface KeyWindow {
  readonly from: number;
  /** Without it, for all that come. */
  readonly until?: number | undefined;
}

/** People of one kind, so many of whom must have signed a release. */
export interface Role {
  readonly role: string;
  readonly keys: readonly string[];
  readonly signatures: number;
}

/** What the isolated side lets in by one channel. There are no defaults here: each field is said in the configuration. */
export interface ChannelPolicy {
  readonly channel: string;
  /** Key ids whose signature makes a transport statement. */
  readonly transportKeys: readonly string[];
  /** Key ids that may approve a release; none of them a transport key. */
  readonly releaseKeys: readonly string[];
  /** How many different release keys must have signed. 0 is for a lab, and shown in every status answer. */
  readonly releaseSignatures: number;
  readonly types: readonly ArtifactType[];
  /** Repositories, as globs: `*` stands for any text within a segment, `**` for any number of segments. */
  readonly repositories: readonly string[];
  /** Paths of files, as globs likewise. */
  readonly paths: readonly string[];
  /** Bytes of one bundle's content. */
  readonly maxBytes: number;
  readonly maxArtifacts: number;
  /** Artifact types that must have a version, besides those that always must (B-2). */
  readonly versioned?: readonly ArtifactType[];
  /** Further roles: each needs its own signatures, beside those of the release keys. No key has two. */
  readonly roles?: readonly Role[];
  /** By key id: when a key counts. One that is not here always does. */
  readonly windows?: Readonly<Record<string, KeyWindow>>;
  /** Keys that count no more, wherever they are listed. */
  readonly revoked?: ReadonlySet<string>;
}

/** What is wrong with a policy as configured, or undefined. */
export function policyFault(policy: ChannelPolicy): string | undefined {
  const fault = rolesFault(policy);
  if (fault !== undefined) return fault;
  const both = policy.releaseKeys.find((key) => policy.transportKeys.includes(key));
  if (both !== undefined)
    return `channel ${policy.channel}: key ${both} is a transport key and cannot be a release key too`;
  if (policy.transportKeys.length === 0) return `channel ${policy.channel} has no transport key`;
  if (!Number.isSafeInteger(policy.releaseSignatures) || policy.releaseSignatures < 0) {
    return `channel ${policy.channel} does not say how many release signatures it needs`;
  }
  if (policy.releaseSignatures > new Set(policy.releaseKeys).size) {
    return `channel ${policy.channel} wants ${String(policy.releaseSignatures)} release signatures but names fewer keys`;
  }
  return undefined;
}

/**
 * What is wrong with policies that hold side by side, or undefined: the staging host has the transport keys of all channels, so what it could sign with
 * approves nothing in any.
 */
export function policiesFault(policies: readonly ChannelPolicy[]): string | undefined {
  const transport = new Map(
    policies.flatMap(({ channel, transportKeys }) => transportKeys.map((key) => [key, channel])),
  );
  for (const { channel, releaseKeys, roles = [] } of policies) {
    const both = [...releaseKeys, ...roles.flatMap(({ keys }) => keys)].find((key) => transport.has(key));
    if (both !== undefined)
      return `key ${both} is a transport key of channel ${transport.get(both) ?? ''} and cannot approve in channel ${channel}`;
  }
  return undefined;
}

function rolesFault({
  channel,
  transportKeys,
  releaseKeys,
  roles = [],
  windows = {},
}: ChannelPolicy): string | undefined {
  const taken = new Set([...transportKeys, ...releaseKeys]);
  for (const { role, keys, signatures } of roles) {
    if (!Number.isSafeInteger(signatures) || signatures < 1 || signatures > new Set(keys).size)
      return `channel ${channel}: role ${role} wants ${String(signatures)} signatures of ${String(keys.length)} keys`;
    for (const key of new Set(keys)) {
      if (taken.has(key)) return `channel ${channel}: key ${key} of role ${role} has another place already`;
      taken.add(key);
    }
  }
  const empty = Object.entries(windows).find(([, { from, until }]) => until !== undefined && until < from);
  return empty === undefined ? undefined : `channel ${channel}: the window of key ${empty[0]} ends before it begins`;
}

/** True when the name fits the glob: `*` within a segment, `**` over any number of segments. At most one step for each pair of theirs. */
export function matchesGlob(glob: string, name: string): boolean {
  if (glob === '**') return true;
  const [patterns, segments] = [glob.split('/'), name.split('/')];
  // reachable[i]: the patterns up to here can end before segment i.
  let reachable = segments.map(() => false).concat(false);
  reachable[0] = true;
  for (const pattern of patterns) {
    const first = reachable.indexOf(true);
    if (first === -1) return false;
    reachable =
      pattern === '**'
        ? reachable.map((_reached, i) => i >= first)
        : [false, ...segments.map((segment, i) => reachable[i] === true && matchesSegment(pattern, segment))];
  }
  return reachable[segments.length] === true;
}

function matchesSegment(pattern: string, segment: string): boolean {
  const pieces = pattern.split('*');
  const [first = '', last = ''] = [pieces[0], pieces.at(-1)];
  if (pieces.length === 1) return pattern === segment;
  if (segment.length < first.length + last.length || !segment.startsWith(first) || !segment.endsWith(last))
    return false;
  let at = first.length;
  const end = segment.length - last.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = segment.indexOf(piece, at);
    if (found === -1 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}

/** Types, targets and sizes of a release against the policy: `type-not-allowed`, `version-missing`, `repository-not-allowed`, `bundle-too-large`. */
export function checkPolicy(release: ReleaseStatement, policy: ChannelPolicy): Result<undefined> {
  if (release.artifacts.length > policy.maxArtifacts) {
    return refuse(
      'bundle-too-large',
      `${String(release.artifacts.length)} artifacts are more than the channel's ${String(policy.maxArtifacts)}`,
    );
  }
  let bytes = 0;
  for (const artifact of release.artifacts) {
    bytes += artifact.total;
    const checked = checkArtifact(artifact, policy);
    if (!checked.ok) return checked;
  }
  if (bytes > policy.maxBytes) {
    return refuse(
      'bundle-too-large',
      `the artifacts' ${String(bytes)} bytes are more than the channel's ${String(policy.maxBytes)}`,
    );
  }
  return ok(undefined);
}

function checkArtifact({ name, type, target, version }: Artifact, policy: ChannelPolicy): Result<undefined> {
  if (!policy.types.includes(type))
    return refuse('type-not-allowed', `artifact ${name} is a ${type}, which the channel does not take`);
  if (version === undefined && policy.versioned?.includes(type) === true)
    return refuse('version-missing', `artifact ${name} has no version, and the channel takes no ${type} without one`);
  const globs = target.path === undefined ? policy.repositories : policy.paths;
  if (globs.some((glob) => matchesGlob(glob, targetName(target)))) return ok(undefined);
  return refuse(
    'repository-not-allowed',
    `artifact ${name} goes to ${targetName(target)}, which the channel's policy does not allow`,
  );
}
