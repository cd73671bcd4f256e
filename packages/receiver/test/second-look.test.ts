import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChannelPolicy, checkStanding } from '@sluice/bundle';
import { hexOf } from '@sluice/ports';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { fileOf, seal, signers } from './bundles.ts';
import { type Options, Receiver, scratch } from './receiver.ts';

const ASKER = { uid: 1001, reason: 'the policy was wrong' };
const blob = randomBytes(300 * 1024);
const bundleOf = (over: Partial<Parameters<typeof seal>[0]> = {}) =>
  seal({ sequence: 1, blobs: [blob], artifacts: [fileOf(blob, 'notes/a')], ...over });
type Bundle = ReturnType<typeof bundleOf>;

const retried = async (receiver: Receiver, { id }: Bundle): Promise<string> => {
  const result = await receiver.secondLook.retry(id, ASKER);
  return result.ok ? 'ok' : result.error.code;
};
const controls = (receiver: Receiver, { id }: Bundle) =>
  receiver.ledger.events
    .about(id)
    .flatMap(({ kind, body }) => (body.action === 'quarantine-retry' ? [[kind, body.uid, body.code]] : []));

describe('a refused bundle that is judged once more', () => {
  it('stays refused while nothing has changed, and each attempt is an entry', async () => {
    const receiver = await Receiver.open({ policy: { paths: ['docs/**'] } });
    const bundle = bundleOf();
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('quarantined: repository-not-allowed');
    expect(await retried(receiver, bundle)).toBe('repository-not-allowed');
    expect(receiver.state(bundle.id)).toBe('quarantined: repository-not-allowed');
    expect(controls(receiver, bundle)).toEqual([['control', 1001, 'repository-not-allowed']]);
    expect(receiver.published).toEqual([]);
  });

  it('is under way again under a policy that lets it in, over a restart too, and published when its objects came once more', async () => {
    const receiver = await Receiver.open({ policy: { paths: ['docs/**'] } });
    const bundle = bundleOf();
    await receiver.take(bundle);
    receiver.trust({ paths: ['**'] });
    expect(await retried(receiver, bundle)).toBe('ok');
    expect(receiver.state(bundle.id)).toBe('receiving');
    expect(controls(receiver, bundle)).toEqual([['reopened', 1001, undefined]]);
    // Link may take again what it was told to forget.
    expect(receiver.told(bundle.objects[0]!.digest).at(-1)).toBe('allow');
    expect(receiver.pipeline.open).toHaveLength(1);

    receiver.restart();
    expect(receiver.pipeline.open).toHaveLength(0);
    await receiver.secondLook.resume();
    expect(receiver.pipeline.open).toHaveLength(1);
    for (const object of bundle.objects) await receiver.arrive(object);
    await receiver.settled();
    expect(receiver.published).toEqual([bundle.id]);
    expect(await retried(receiver, bundle)).toBe('quarantine-unknown');
  });

  it('is opened a little later where the disk fails just then', { timeout: 20_000 }, async () => {
    const receiver = await Receiver.open({ policy: { paths: ['docs/**'] } });
    const bundle = bundleOf();
    await receiver.take(bundle);
    receiver.trust({ paths: ['**'] });
    vi.spyOn(receiver.pipeline, 'reopen').mockRejectedValueOnce(
      Object.assign(new Error('simulated'), { code: 'ledger-io' }),
    );
    expect(await retried(receiver, bundle)).toBe('ok');
    expect(receiver.pipeline.open).toEqual([]);
    await vi.waitFor(() => expect(receiver.pipeline.open).toHaveLength(1), { timeout: 10_000, interval: 100 });
    expect(receiver.told(bundle.objects[0]!.digest).at(-1)).toBe('allow');
  });

  it('is left alone when it is over by the time that it would be opened', async () => {
    const receiver = await Receiver.open({ policy: { paths: ['docs/**'] } });
    const bundle = bundleOf();
    await receiver.take(bundle);
    receiver.trust({ paths: ['**'] });
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const failure = Object.assign(new Error('simulated'), { code: 'ledger-io' });
    const reopen = vi.spyOn(receiver.pipeline, 'reopen').mockRejectedValueOnce(failure);
    expect(await retried(receiver, bundle)).toBe('ok');
    await receiver.take(bundle);
    expect(receiver.published).toEqual([bundle.id]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(reopen).toHaveBeenCalledTimes(1);
    expect(receiver.state(bundle.id)).toBe('published');
  });

  it("never gets past its signatures: neither the sender's, nor the approvers', nor by what was put in their place", async () => {
    const receiver = await Receiver.open({ policy: { releaseSignatures: 2 } });
    const forged = bundleOf({ transportKey: 'stranger' });
    const unapproved = bundleOf({ sequence: 2, releaseKeys: ['release'] });
    const good = bundleOf({ sequence: 3, releaseKeys: ['release', 'second'] });
    for (const bundle of [forged, unapproved]) await receiver.take(bundle);
    expect(await retried(receiver, forged)).toBe('signer-unknown');
    expect(await retried(receiver, unapproved)).toBe('too-few-release-signatures');
    // Somebody writes into the quarantine directory.
    const place = join(receiver.dir, 'quarantine', hexOf(unapproved.id));
    writeFileSync(join(place, `${hexOf(unapproved.release.digest)}.dsse.json`), good.release.bytes);
    expect(await retried(receiver, unapproved)).toBe('quarantine-unknown');
    writeFileSync(join(place, `${hexOf(unapproved.id)}.dsse.json`), good.transport.bytes);
    expect(await retried(receiver, unapproved)).toBe('quarantine-unknown');
    expect(receiver.state(unapproved.id)).toBe('quarantined: too-few-release-signatures');
    expect(receiver.pipeline.open).toEqual([]);
  });

  it('whose sender is believed since gets its number, and waits for what did not come', async () => {
    const receiver = await Receiver.open();
    const bundle = bundleOf({ transportKey: 'stranger' });
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('quarantined: signer-unknown');
    receiver.trust({ transportKeys: [signers.transport.keyid, signers.stranger.keyid] });
    expect(await retried(receiver, bundle)).toBe('ok');
    expect(receiver.ledger.takenBy('prod', 1)).toBe(bundle.id);
    for (const piece of [bundle.release, ...bundle.objects]) await receiver.arrive(piece);
    await receiver.settled();
    expect(receiver.published).toEqual([bundle.id]);
    expect(receiver.ledger.signatures.of(bundle.id)).toEqual({
      transport: signers.stranger.keyid,
      release: [signers.release.keyid],
    });
  });

  it('is listed and shown by id or number, with its statements; others are not there', async () => {
    const receiver = await Receiver.open({ policy: { paths: ['docs/**'] } });
    const bundle = bundleOf();
    await receiver.take(bundle);
    const look = receiver.secondLook;
    expect(look.list(10)).toMatchObject({ items: [{ bundle: bundle.id, code: 'repository-not-allowed' }], next: null });
    for (const name of [bundle.id, 'prod/1'])
      expect(await look.show(name)).toMatchObject({ ok: true, value: { bundle: bundle.id } });
    const shown = await look.show(bundle.id);
    const { statements } = (shown.ok ? shown.value : {}) as { statements: string[] };
    const place = join(receiver.dir, 'quarantine', hexOf(bundle.id));
    expect(statements.toSorted()).toEqual(
      readdirSync(place)
        .filter((name) => name.endsWith('.dsse.json'))
        .map((name) => join(place, name))
        .toSorted(),
    );
    for (const name of ['prod/2', 'lab/1', `sha256:${'0'.repeat(64)}`, '../..', 7, undefined]) {
      expect(await look.show(name)).toMatchObject({ ok: false, error: { code: 'quarantine-unknown' } });
      expect(await look.retry(name, ASKER)).toMatchObject({ ok: false, error: { code: 'quarantine-unknown' } });
    }
  });
});

describe('a key that is revoked', () => {
  /** A receiver whose anchors the test changes under it. */
  async function trusting(options: Options = {}) {
    const policy: { now: Partial<ChannelPolicy> } = { now: {} };
    const base = {
      ...{ channel: 'prod', transportKeys: [signers.transport.keyid], releaseKeys: [signers.release.keyid] },
      ...{ releaseSignatures: 1, types: [], repositories: [], paths: [], maxBytes: 0, maxArtifacts: 0 },
    };
    const receiver = await Receiver.open({
      ...options,
      stands: (_, signed) => checkStanding({ ...base, ...policy.now }, signed),
    });
    const change = (key: keyof typeof signers): void => {
      policy.now = { revoked: new Set([signers[key].keyid]) };
      receiver.trust(policy.now);
    };
    const revoke = async (key: keyof typeof signers): Promise<void> => {
      change(key);
      await receiver.pipeline.lookAgain();
    };
    return { receiver, change, revoke };
  }

  it.each(['transport', 'release'] as const)('has no bundle published that was under way: %s', async (key) => {
    const { receiver, revoke } = await trusting();
    const bundle = bundleOf();
    await receiver.statements(bundle);
    expect(receiver.state(bundle.id)).toBe('receiving');
    await revoke(key);
    expect(receiver.state(bundle.id)).toBe('quarantined: key-revoked');
    for (const object of bundle.objects) await receiver.arrive(object);
    await receiver.settled();
    expect(receiver.published).toEqual([]);
    // Nor is the next one believed.
    const next = seal({ sequence: 3, blobs: [randomBytes(9)] });
    await receiver.take(next);
    expect(receiver.state(next.id)).toBe('quarantined: key-revoked');
  });

  it('has none published that is being verified just then', async () => {
    const dir = scratch();
    const [began, go] = [join(dir, 'began'), join(dir, 'go')];
    const wait = `cat > /dev/null; touch ${began}; while [ ! -e ${go} ]; do sleep 0.02; done`;
    const gates = [{ name: 'slow', command: ['/bin/sh', '-c', wait], timeoutMs: 20_000 }];
    const { receiver, change } = await trusting({ gates });
    const bundle = bundleOf();
    const taken = receiver.take(bundle);
    await vi.waitFor(() => expect(existsSync(began)).toBe(true), 10_000);
    change('release');
    writeFileSync(go, '');
    await taken;
    expect(receiver.published).toEqual([]);
    expect(receiver.state(bundle.id)).toBe('quarantined: key-revoked');
  });
});
