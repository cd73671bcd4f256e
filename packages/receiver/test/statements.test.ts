import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Artifact, writePack } from '@sluice/bundle';
import { signEnvelope } from '@sluice/trust';
import { type Bundle, type BundlePlan, digestOf, fileOf, pieceOf, seal, signers, STATEMENT_TYPE } from './bundles.ts';
import { expectRefused, Receiver } from './receiver.ts';

const small = (): Buffer => randomBytes(2000);
const CONTENT = small();
const FIRST = seal({ sequence: 1, blobs: [CONTENT] });
const GOOD: BundlePlan = {
  sequence: 2,
  previous: FIRST.id,
  blobs: [CONTENT],
  artifacts: [fileOf(CONTENT, 'f/content')],
  releaseKeys: ['release', 'second'],
};

const withArtifact = (plan: BundlePlan, over: Partial<Artifact>): BundlePlan => ({
  ...plan,
  artifacts: [...(plan.artifacts ?? []), fileOf(CONTENT, 'f/other', over)],
});
const badPack = (): Bundle['release'] =>
  pieceOf(writePack([{ digest: digestOf(CONTENT), bytes: small() }]), 'application/x-tar');

/** What can be wrong with a bundle, in the order in which B-7 has it looked at. */
const FAULTS: readonly (readonly [code: string, plan: (plan: BundlePlan) => BundlePlan])[] = [
  ['signer-unknown', (plan) => ({ ...plan, transportKey: 'stranger' })],
  ['channel-mismatch', (plan) => ({ ...plan, channel: 'lab' })],
  ['sequence-repeated', (plan) => ({ ...plan, sequence: 1, previous: null })],
  ['release-mismatch', (plan) => ({ ...plan, statement: (s) => ({ ...s, release: { ...s.release, size: 9 } }) })],
  ['too-few-release-signatures', (plan) => ({ ...plan, releaseKeys: ['release', 'transport', 'release'] })],
  ['path-outside-root', (plan) => withArtifact(plan, { name: 'up', target: { path: '../up' } })],
  [
    'type-not-allowed',
    (plan) => withArtifact(plan, { name: 'git', type: 'git', version: 1, target: { repository: 'g' } }),
  ],
  ['repository-not-allowed', (plan) => withArtifact(plan, { name: 'else', target: { path: 'elsewhere' } })],
  ['version-not-newer', (plan) => withArtifact(plan, { name: 'old', version: 5, target: { path: 'f/first' } })],
  ['digest-mismatch', (plan) => ({ ...plan, objects: () => [badPack()] })],
  ['blob-missing', (plan) => withArtifact(plan, { name: 'absent', digest: digestOf(Buffer.from('absent')) })],
  ['blob-unlisted', (plan) => ({ ...plan, blobs: [...plan.blobs, small()] })],
  ['gate-refused', (plan) => plan],
];

/** A receiver that has published `FIRST`, wants two signatures and has a gate that refuses everything. */
async function strict(): Promise<Receiver> {
  const receiver = await Receiver.open({
    policy: { types: ['file'], paths: ['f/**'], releaseSignatures: 2 },
    gates: [{ name: 'closed', command: ['false'], timeoutMs: 10_000 }],
  });
  const { id, release } = FIRST;
  receiver.ledger.received({ id, channel: 'prod', sequence: 1, release: release.digest, bytes: 1 });
  receiver.ledger.publish(id, 'first', [{ type: 'file', target: 'f/first', version: 5 }], {});
  return receiver;
}

describe('a bundle that does not hold (B-7)', () => {
  it.each(FAULTS.map(([code], at) => ({ code, at })))(
    '$code is told, alone and before all that would come later',
    async ({ code, at }) => {
      const alone = FAULTS[at]?.[1](GOOD) ?? GOOD;
      const together = FAULTS.slice(at).reduce((plan, [, fault]) => fault(plan), GOOD);
      for (const plan of [alone, together]) {
        const receiver = await strict();
        const bundle = seal(plan);
        await receiver.take(bundle);
        await expectRefused(receiver, bundle, code);
        expect(await receiver.stored()).toEqual([]);
        expect(receiver.ledger.outbox().map(({ bundle: id }) => id)).toEqual([FIRST.id]);
      }
    },
  );

  it('the form of the envelope comes first of all', async () => {
    const receiver = await strict();
    const sealed = seal(FAULTS.reduce((plan, [, fault]) => fault(plan), GOOD));
    const envelope = Buffer.from(sealed.transport.bytes).toString().replace('in-toto+json', 'in-toto');
    const transport = pieceOf(Buffer.from(envelope), STATEMENT_TYPE);
    const bundle = { ...sealed, id: transport.digest, transport };
    await receiver.take(bundle);
    await expectRefused(receiver, bundle, 'payload-type');
  });

  it('keeps its statements with the reason, and nothing else; what comes late of it is not kept', async () => {
    const receiver = await strict();
    const bundle = seal({ ...GOOD, releaseKeys: ['release'] });
    await receiver.statements(bundle);
    await expectRefused(receiver, bundle, 'too-few-release-signatures');
    const kept = receiver.quarantined(bundle.id);
    const names = [bundle.transport, bundle.release].map(({ digest }) => `${digest.slice(7)}.dsse.json`);
    expect(kept?.files).toEqual([...names, 'reason.json'].sort());
    expect(kept?.reason.detail).toBe('the release has 1 of the 2 signatures that the channel needs');
    expect(receiver.said.map(({ type }) => type)).toEqual(['allow', 'settle', 'settle']);
    for (const object of bundle.objects) await receiver.arrive(object);
    expect(receiver.said.map(({ type }) => type)).toEqual(['allow', 'settle', 'settle', 'settle']);
    expect(receiver.spooled()).toEqual([]);
  });

  it('keeps its number: the next one follows it, and it is not taken when it comes again', async () => {
    const receiver = await strict();
    const refused = seal({ ...GOOD, releaseKeys: ['release'] });
    await receiver.take(refused);
    await receiver.take(refused);
    receiver.restart();
    await receiver.take(refused);
    await expectRefused(receiver, refused, 'too-few-release-signatures');
    expect(receiver.ledger.events.about(refused.id).map(({ kind }) => kind)).toEqual(['received', 'quarantined']);
    const next = seal({ ...GOOD, sequence: 3, previous: digestOf(Buffer.from('another')) });
    await receiver.take(next);
    await expectRefused(receiver, next, 'chain-mismatch');
    expect(receiver.ledger.missing('prod', 10)).toEqual([]);
  });
});

describe('statements', () => {
  it('that are too large are refused and not copied', async () => {
    const receiver = await Receiver.open({ statementBytes: 4096 });
    const huge = pieceOf(randomBytes(5000), STATEMENT_TYPE);
    await receiver.arrive(huge);
    await receiver.arrive(huge);
    expect(receiver.state(huge.digest)).toBe('quarantined: statement-too-large');
    expect(receiver.quarantined(huge.digest)?.files).toEqual(['reason.json']);
    expect(receiver.spooled()).toEqual([]);

    // A release that is too large is known by what the transport statement says, and the bundle with it.
    const bundle = seal({
      sequence: 1,
      blobs: [small()],
      release: (payload) => Buffer.concat([payload.subarray(0, -1), Buffer.from(' '.repeat(5000)), Buffer.from('}')]),
    });
    await receiver.take(bundle);
    await expectRefused(receiver, bundle, 'statement-too-large');
    expect(receiver.spooled()).toEqual([]);
  });

  it('a release that nobody can read refuses its bundle, whichever of the two came first', async () => {
    const twice = (payload: Uint8Array): string =>
      Buffer.from(payload).toString().replace('"name":"platform"', '"name":"platform","name":"other"');
    // With other white space even its kind is known only once it can be read.
    const spaced = (payload: Uint8Array): string => twice(payload).replace('"predicateType":', '"predicateType": ');
    for (const spell of [twice, spaced]) {
      for (const reversed of [false, true]) {
        const receiver = await Receiver.open();
        const bundle = seal({ sequence: 1, blobs: [small()], release: (payload) => Buffer.from(spell(payload)) });
        const both = [bundle.transport, bundle.release];
        for (const piece of reversed ? both.toReversed() : both) await receiver.arrive(piece);
        for (const object of bundle.objects) await receiver.arrive(object);
        await expectRefused(receiver, bundle, 'json-duplicate-key');
        expect(receiver.spooled()).toEqual([]);
      }
    }
  });

  it('junk, receipts and unsigned statements are refused under their own digest', async () => {
    const receiver = await Receiver.open();
    const good = seal({ sequence: 1, blobs: [small()] });
    const unsigned = JSON.parse(Buffer.from(good.transport.bytes).toString()) as { signatures: unknown[] };
    unsigned.signatures = [];
    const receipt = Buffer.from(
      '{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"urn:sluice:receipt:v1","predicate":{}}',
    );
    const junk: [string, Uint8Array][] = [
      ['json-malformed', Buffer.from('junk')],
      ['json-malformed', randomBytes(400)],
      ['envelope-malformed', Buffer.from('[]')],
      ['json-duplicate-key', Buffer.from('{"payload":"","payload":"","payloadType":"","signatures":[]}')],
      ['signer-unknown', Buffer.from(JSON.stringify(unsigned))],
      ['signer-unknown', signEnvelope(receipt, [signers.release])],
      ['predicate-type', signEnvelope(receipt, [signers.transport])],
      ['json-malformed', signEnvelope(Buffer.from('{'), [signers.stranger])],
    ];
    for (const [code, bytes] of junk) {
      const piece = pieceOf(bytes, STATEMENT_TYPE);
      await receiver.arrive(piece);
      await receiver.arrive(piece);
      expect(receiver.state(piece.digest)).toBe(`quarantined: ${code}`);
      expect(receiver.quarantined(piece.digest)?.files).toEqual([`${piece.digest.slice(7)}.dsse.json`, 'reason.json']);
      expect(receiver.told(piece.digest)).toEqual(['settle', 'settle']);
    }
    await receiver.take(good);
    expect(receiver.state(good.id)).toBe('published');
  });
});
