import { ok, refuse, type Result } from '@sluice/ports';
import type { ChannelPolicy, Role } from './policy.ts';

/** All that must approve a release: the release keys, and each further role. */
export const rolesOf = ({ releaseKeys, releaseSignatures, roles = [] }: ChannelPolicy): readonly Role[] => [
  { role: 'release', keys: releaseKeys, signatures: releaseSignatures },
  ...roles,
];

/** Keys whose signature may count for a release; a transport key never does. */
export const approversOf = (policy: ChannelPolicy): readonly string[] =>
  rolesOf(policy)
    .flatMap(({ keys }) => keys)
    .filter((key) => !policy.transportKeys.includes(key));

/** Whether a key counts for a number of the channel (B-15, B-16). */
export function standingOf(
  { revoked, windows = {} }: ChannelPolicy,
  keyid: string,
  sequence: number,
): 'counts' | 'key-revoked' | 'key-out-of-window' {
  if (revoked?.has(keyid) === true) return 'key-revoked';
  const { from, until } = windows[keyid] ?? { from: 0 };
  return sequence < from || (until !== undefined && sequence > until) ? 'key-out-of-window' : 'counts';
}

const SAYS = {
  'key-revoked': 'was revoked here',
  'key-out-of-window': 'does not count for this number of the channel',
} as const;

/** The first of the keys that counts for the number; else why the first does not. `signed` are keys whose signatures hold. */
export function countingSigner(policy: ChannelPolicy, signed: readonly string[], sequence: number): Result<string> {
  const counting = signed.find((key) => standingOf(policy, key, sequence) === 'counts');
  if (counting !== undefined) return ok(counting);
  const [first = ''] = signed;
  const standing = standingOf(policy, first, sequence);
  if (standing === 'counts') return refuse('signer-unknown', 'no signature is by a key that the channel allows');
  return refuse(standing, `the key ${first} that signed ${SAYS[standing]}`);
}

/** The keys that approve a release in a bundle of this number, if each role has as many as it needs. `signed` are keys whose signatures hold. */
export function checkApproval(
  policy: ChannelPolicy,
  signed: readonly string[],
  sequence: number,
): Result<readonly string[]> {
  const counting = new Set<string>();
  for (const { role, keys, signatures } of rolesOf(policy)) {
    const of = new Set(keys.filter((key) => signed.includes(key) && !policy.transportKeys.includes(key)));
    const good = [...of].filter((key) => standingOf(policy, key, sequence) === 'counts');
    if (good.length < signatures) return tooFew(policy, { role, signatures, good: good.length, of: [...of] }, sequence);
    for (const key of good) counting.add(key);
  }
  return ok([...counting]);
}

function tooFew(
  policy: ChannelPolicy,
  {
    role,
    signatures,
    good,
    of,
  }: { readonly role: string; readonly signatures: number; readonly good: number; readonly of: readonly string[] },
  sequence: number,
): Result<never> {
  const of_ = role === 'release' ? '' : ` of role ${role}`;
  // Where the signatures would be enough, what is wrong with their keys says more than how many they are.
  if (of.length >= signatures) {
    for (const key of of) {
      const standing = standingOf(policy, key, sequence);
      if (standing !== 'counts') return refuse(standing, `the key ${key}${of_} that signed ${SAYS[standing]}`);
    }
  }
  return refuse(
    'too-few-release-signatures',
    `the release has ${String(good)} of the ${String(signatures)} signatures${of_} that the channel needs`,
  );
}
