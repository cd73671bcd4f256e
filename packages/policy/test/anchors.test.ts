import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, object, optional } from '@sluice/base';
import { encodePolicy, type PolicyChannel, type PolicyGrant } from '@sluice/bundle';
import { loadSigner, loadVerifier, makeKeyPair, sha256Digest, signEnvelope } from '@sluice/trust';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ReceiverLedger } from '../../ledger/src/index.ts';
import { Anchors, channelsConfig, type ControlResult, trustConfig } from '../src/index.ts';

const NAMES = ['sender', 'sender2', 'ada', 'bob', 'cem', 'root', 'eva', 'finn', 'gus'] as const;
type Name = (typeof NAMES)[number];
const pairs = Object.fromEntries(NAMES.map((name) => [name, makeKeyPair('Ed25519')])) as Record<
  Name,
  ReturnType<typeof makeKeyPair>
>;
const idOf = (name: Name): string => loadVerifier(pairs[name].publicPem).keyid;
const spkiOf = (name: Name): Uint8Array =>
  Buffer.from(pairs[name].publicPem.replaceAll(/-----[^-]*-----|\n/g, ''), 'base64');
const ASKER = { uid: 1001, reason: 'rotation' };

/** A site with this configuration, and the ledger of its receiver. */
class Site {
  readonly #dir = mkdtempSync(join(tmpdir(), 'sluice-anchors-'));
  ledger: ReceiverLedger;
  anchors: Anchors;
  readonly #trust: boolean;

  constructor({ trust = true } = {}) {
    this.#trust = trust;
    for (const name of NAMES) writeFileSync(this.#key(name), pairs[name].publicPem);
    this.ledger = new ReceiverLedger(join(this.#dir, 'state/ledger.sqlite'));
    this.anchors = this.#open();
    onTestFinished(() => {
      this.ledger.close();
      rmSync(this.#dir, { recursive: true });
    });
  }

  #key = (name: string): string => join(this.#dir, `${name}.pem`);

  #open(): Anchors {
    const section = (name: string) => ({
      ...{ name, transportKeyFiles: [this.#key('sender')], releaseKeyFiles: [this.#key('ada')], releaseSignatures: 1 },
      ...{ types: ['file'], repositories: [], paths: ['**'], maxBytes: '1GiB', maxArtifacts: 10 },
    });
    const persons = ['eva', 'finn', 'gus'].map(this.#key);
    const trust = { rootKeyFiles: [this.#key('root')], personKeyFiles: persons };
    const file = join(this.#dir, 'config.json');
    writeFileSync(
      file,
      JSON.stringify({ channels: [section('prod'), section('lab')], ...(this.#trust ? { trust } : {}) }),
    );
    const schema = object('test', { channels: channelsConfig('channels'), trust: optional(trustConfig) });
    const config = loadConfig(file, schema);
    return new Anchors({ channels: config.channels, trust: config.trust, record: this.ledger.trust });
  }

  restart(): void {
    this.ledger.close();
    this.ledger = new ReceiverLedger(join(this.#dir, 'state/ledger.sqlite'));
    this.anchors = this.#open();
  }

  adopt(bytes: Uint8Array, digest?: string): string {
    return codeOf(this.anchors.adopt(bytes, digest, ASKER));
  }

  releaseKeys(channel = 'prod'): readonly string[] {
    return this.anchors.get(channel)!.policy.releaseKeys;
  }
}

const codeOf = (result: ControlResult<unknown>): string => (result.ok ? 'ok' : result.error.code);
const grant = (key: Name, from = 1, until?: number): PolicyGrant => ({ key, from, until });

interface Plan {
  readonly version?: number;
  readonly by?: readonly Name[];
  readonly channels?: readonly PolicyChannel[];
  readonly lie?: Name;
}

/** A policy under which bob approves what enters prod. */
function policy({ version = 1, by = [], channels, lie }: Plan = {}): Uint8Array {
  const prod = {
    name: 'prod',
    transport: [grant('sender')],
    release: [{ role: 'release', signatures: 1, keys: [grant('bob')] }],
  };
  const keys = (['sender', 'sender2', 'ada', 'bob', 'cem'] as const).map((name) => ({
    ...{ name, keyid: idOf(name), spki: spkiOf(name === 'bob' ? (lie ?? name) : name) },
  }));
  const payload = encodePolicy({ version, keys, channels: channels ?? [prod] });
  return signEnvelope(
    payload,
    by.map((name) => loadSigner(pairs[name].privatePem)),
  );
}

const CEREMONY = ['root', 'eva', 'finn'] as const;

describe('a policy', () => {
  it('counts when a root and two persons signed it, wherever it came from, and changes the channels that it names', () => {
    const site = new Site();
    let changes = 0;
    site.anchors.onChange(() => (changes += 1));
    expect(site.releaseKeys()).toEqual([idOf('ada')]);
    const bytes = policy({ by: CEREMONY });
    expect(site.anchors.adopt(bytes, undefined, ASKER)).toMatchObject({
      ok: true,
      value: { version: 1, digest: sha256Digest(bytes), how: 'root-and-persons', channels: ['prod'], elsewhere: [] },
    });
    expect([site.releaseKeys(), site.releaseKeys('lab'), changes]).toEqual([[idOf('bob')], [idOf('ada')], 1]);
    expect(site.ledger.events.about(sha256Digest(bytes))).toMatchObject([
      {
        kind: 'policy',
        body: {
          ...{ action: 'adopt', version: 1, how: 'root-and-persons', ...ASKER },
          signers: { root: [idOf('root')], persons: [idOf('eva'), idOf('finn')] },
        },
      },
    ]);
    site.restart();
    expect(site.releaseKeys()).toEqual([idOf('bob')]);
    // Once more it is no news.
    expect(site.adopt(bytes)).toBe('ok');
    expect(site.ledger.events.about(sha256Digest(bytes))).toHaveLength(1);
  });

  it.each([
    ['nobody', []],
    ['a root alone', ['root']],
    ['persons alone', ['eva', 'finn', 'gus']],
    ['a root and one person', ['root', 'eva']],
    ['keys that approve releases and send', ['ada', 'bob', 'sender']],
  ] as const)('signed by %s is not believed by itself', (_, by) => {
    const site = new Site();
    expect(site.adopt(policy({ by }))).toBe('policy-unapproved');
    expect(site.releaseKeys()).toEqual([idOf('ada')]);
    expect(site.ledger.events.after(0, 10)).toEqual([]);
  });

  it('counts by its digest, which came by another way than the file, and by no other digest', () => {
    const site = new Site({ trust: false });
    const bytes = policy({ by: ['cem'] });
    expect(site.adopt(bytes)).toBe('policy-unapproved');
    expect(site.adopt(bytes, sha256Digest(policy({ version: 2, by: ['cem'] })))).toBe('policy-digest');
    expect(site.adopt(bytes, 'x')).toBe('policy-digest');
    expect(site.releaseKeys()).toEqual([idOf('ada')]);
    expect(site.adopt(bytes, sha256Digest(bytes))).toBe('ok');
    expect(site.releaseKeys()).toEqual([idOf('bob')]);
    expect(site.ledger.events.about(sha256Digest(bytes))[0]?.body).toMatchObject({ how: 'out-of-band', ...ASKER });
  });

  it('older than the one before is refused, also after a restart, however well it is signed', () => {
    const site = new Site();
    const [second, first] = [policy({ version: 2, by: CEREMONY }), policy({ version: 1, by: CEREMONY })];
    expect(site.adopt(second)).toBe('ok');
    for (const stale of [first, policy({ version: 2, by: [...CEREMONY, 'gus'] })]) {
      expect(site.adopt(stale)).toBe('policy-rollback');
      expect(site.adopt(stale, sha256Digest(stale))).toBe('policy-rollback');
    }
    site.restart();
    expect(site.adopt(first)).toBe('policy-rollback');
    expect(site.anchors.policy?.version).toBe(2);
    expect(site.adopt(policy({ version: 3, by: CEREMONY }))).toBe('ok');
  });

  it('gives keys windows and roles', () => {
    const site = new Site();
    const channels = [
      {
        name: 'prod',
        transport: [grant('sender', 1, 100), grant('sender2', 101)],
        release: [
          { role: 'release', signatures: 1, keys: [grant('ada'), grant('bob', 50)] },
          { role: 'security', signatures: 1, keys: [grant('cem')] },
        ],
      },
    ];
    expect(site.adopt(policy({ by: CEREMONY, channels }))).toBe('ok');
    expect(site.anchors.get('prod')!.policy).toMatchObject({
      ...{ transportKeys: [idOf('sender'), idOf('sender2')], releaseKeys: [idOf('ada'), idOf('bob')] },
      ...{ releaseSignatures: 1, paths: ['**'], roles: [{ role: 'security', keys: [idOf('cem')], signatures: 1 }] },
      windows: {
        [idOf('sender')]: { from: 1, until: 100 },
        [idOf('sender2')]: { from: 101 },
        [idOf('bob')]: { from: 50 },
      },
    });
    expect(site.anchors.keys().find(({ key }) => key === idOf('bob'))).toEqual({
      ...{ key: idOf('bob'), name: 'bob', places: ['prod: release, from 50'], revoked: false },
    });
  });

  it('that contradicts itself, or is about no channel here, is refused', () => {
    const site = new Site();
    const channel = (over: Partial<PolicyChannel>): Uint8Array => {
      const release = [{ role: 'release', signatures: 1, keys: [grant('bob')] }];
      return policy({ by: CEREMONY, channels: [{ name: 'prod', transport: [grant('sender')], release, ...over }] });
    };
    expect(site.adopt(channel({ name: 'elsewhere' }))).toBe('policy-foreign');
    expect(site.adopt(channel({ transport: [grant('bob')] }))).toBe('statement-malformed');
    const role = (signatures: number) => [{ role: 'release', signatures, keys: [grant('bob')] }];
    expect(site.adopt(channel({ release: role(2) }))).toBe('statement-malformed');
    expect(site.adopt(channel({ release: [...role(1), { role: 'x', signatures: 1, keys: [grant('bob')] }] }))).toBe(
      'statement-malformed',
    );
    expect(site.adopt(policy({ by: CEREMONY, lie: 'cem' }))).toBe('statement-malformed');
    expect(site.adopt(Buffer.from('{}'))).toBe('payload-type');
    expect(site.ledger.events.after(0, 10)).toEqual([]);
  });
});

describe('a revoked key', () => {
  it('counts no more at once, after a restart, and in any policy that names it', () => {
    const site = new Site();
    const signed = { sequence: 1, signer: idOf('sender'), approvers: [idOf('ada')] };
    expect(site.anchors.stands('prod', signed).ok).toBe(true);
    expect(site.anchors.revoke(idOf('ada'), ASKER, {})).toBe(true);
    expect(codeOf(site.anchors.stands('prod', signed))).toBe('key-revoked');
    expect(site.anchors.revoke(idOf('ada'), ASKER, {})).toBe(false);
    site.restart();
    expect(codeOf(site.anchors.stands('prod', signed))).toBe('key-revoked');
    const release = [{ role: 'release', signatures: 1, keys: [grant('ada')] }];
    const back = policy({ by: CEREMONY, channels: [{ name: 'prod', transport: [grant('sender')], release }] });
    expect(site.anchors.adopt(back, undefined, ASKER)).toMatchObject({
      ok: true,
      value: { stayRevoked: [idOf('ada')] },
    });
    expect(codeOf(site.anchors.stands('prod', signed))).toBe('key-revoked');
    expect(site.anchors.keys().find(({ key }) => key === idOf('ada'))?.revoked).toBe(true);
  });

  it('signs no policy: neither a root nor a person', () => {
    const site = new Site();
    site.anchors.revoke(idOf('finn'), ASKER, {});
    expect(site.adopt(policy({ by: CEREMONY }))).toBe('policy-unapproved');
    expect(site.adopt(policy({ by: ['root', 'eva', 'gus'] }))).toBe('ok');
    site.anchors.revoke(idOf('root'), ASKER, {});
    expect(site.adopt(policy({ version: 2, by: ['root', 'eva', 'gus'] }))).toBe('policy-unapproved');
  });
});
