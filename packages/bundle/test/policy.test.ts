import { describe, expect, it } from 'vitest';
import { checkPolicy, matchesGlob, policyFault } from '../src/policy.ts';
import { codeOf, file, git, image, policyOf, random, releaseOf } from './samples.ts';

describe('globs', () => {
  it.each<[string, string, boolean]>([
    ['library/busybox', 'library/busybox', true],
    ['library/busybox', 'library/busybox2', false],
    ['library/*', 'library/busybox', true],
    ['library/*', 'library/a/b', false],
    ['library/*', 'library', false],
    ['library/**', 'library/a/b', true],
    ['library/**', 'library', true],
    ['library/**', 'library2/a', false],
    ['**', 'a/b/c', true],
    ['*', 'a/b', false],
    ['**/busybox', 'busybox', true],
    ['**/busybox', 'a/b/busybox', true],
    ['a/**/z', 'a/z', true],
    ['a/**/z', 'a/b/c/z', true],
    ['a/**/z', 'a/b/c', false],
    ['team-*/app', 'team-x/app', true],
    ['*-*-*', 'a-b', false],
    ['*-*-*', 'a-b-c', true],
    ['a*a', 'a', false],
    ['*ab*', 'xaby', true],
    ['a.c', 'abc', false],
    ['', 'a', false],
  ])('%s, %s: %s', (glob, name, expected) => {
    expect(matchesGlob(glob, name)).toBe(expected);
  });

  it('agree with a regular expression on 20,000 random pairs', () => {
    const next = random(7);
    const word = (letters: string, length: number): string =>
      Array.from({ length: 1 + (next() % length) }, () => letters[next() % letters.length] ?? '').join('');
    let matching = 0;
    for (let i = 0; i < 20_000; i += 1) {
      const glob = Array.from({ length: 1 + (next() % 3) }, () => (next() % 4 === 0 ? '**' : word('ab*', 4))).join('/');
      const name = Array.from({ length: 1 + (next() % 3) }, () => word('ab', 4)).join('/');
      const found = matchesGlob(glob, name);
      expect(found, `${glob} on ${name}`).toBe(expression(glob).test(`/${name}`));
      if (found) matching += 1;
    }
    expect(matching).toBeGreaterThan(1000);
  });

  it('take no longer for many stars', () => {
    expect(matchesGlob(`${'*a'.repeat(500)}b`, 'a'.repeat(1000))).toBe(false);
    expect(matchesGlob('**/'.repeat(100) + 'b', 'a/'.repeat(100) + 'a')).toBe(false);
  });
});

/** The glob as an expression over a name with a slash before each segment. A segment that is `**` alone crosses slashes, another's stars do not. */
const expression = (glob: string): RegExp =>
  new RegExp(
    `^${glob
      .split('/')
      .map((segment) => (segment === '**' ? '(?:/[^/]+)*' : `/${segment.replace(/\*+/g, '[^/]*')}`))
      .join('')}$`,
  );

describe('the policy', () => {
  const checked = (policy: Parameters<typeof policyOf>[0]): string =>
    codeOf(checkPolicy(releaseOf(image(), file('etc/motd'), git('code')), policyOf(policy)));
  const total = image().total + 17 + 9;

  it.each<[string, string, Parameters<typeof policyOf>[0]]>([
    ['all of it', 'ok', {}],
    ['exactly the bytes', 'ok', { maxBytes: total }],
    ['a byte too many', 'bundle-too-large', { maxBytes: total - 1 }],
    ['exactly the artifacts', 'ok', { maxArtifacts: 3 }],
    ['an artifact too many', 'bundle-too-large', { maxArtifacts: 2 }],
    ['a type that is not named', 'type-not-allowed', { types: ['image', 'file'] }],
    ['no types', 'type-not-allowed', { types: [] }],
    ['a repository that no glob names', 'repository-not-allowed', { repositories: ['library/*'] }],
    ['no repositories', 'repository-not-allowed', { repositories: [] }],
    ['a path that no glob names', 'repository-not-allowed', { paths: ['etc/*.conf'] }],
    ['a path is not held against repositories', 'repository-not-allowed', { paths: [], repositories: ['**'] }],
    ['globs for both', 'ok', { paths: ['etc/*'], repositories: ['library/*', 'team/code'] }],
  ])('%s: %s', (_what, expected, policy) => {
    expect(checked(policy)).toBe(expected);
  });

  it.each<[string, RegExp | undefined, Parameters<typeof policyOf>[0]]>([
    ['right', undefined, {}],
    ['of a lab', undefined, { releaseSignatures: 0, releaseKeys: [] }],
    ['with a key in both lists', /is a transport key/, { transportKeys: ['t', 'r'] }],
    ['without transport key', /no transport key/, { transportKeys: [] }],
    ['that wants more keys than there are', /wants 2/, { releaseSignatures: 2 }],
    [
      'that wants more keys than there are different ones',
      /wants 2/,
      { releaseSignatures: 2, releaseKeys: ['r', 'r'] },
    ],
    ['with a negative number', /does not say how many/, { releaseSignatures: -1 }],
    ['without a number', /does not say how many/, { releaseSignatures: Number.NaN }],
  ])('%s', (_what, fault, policy) => {
    const found = policyFault(policyOf(policy));
    if (fault === undefined) expect(found).toBeUndefined();
    else expect(found).toMatch(fault);
  });
});
