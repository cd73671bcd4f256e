// What no release vouches for yet must not take memory without end (docs/THREATS.md, the staging host).
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { VerifiedTransport } from '@sluice/bundle';
import type { Digest } from '@sluice/ports';
import type { JudgedRelease } from '../src/judge/messages.ts';
import { OpenBundles } from '../src/open-bundles.ts';
import { digestOf, seal } from './bundles.ts';
import { Receiver } from './receiver.ts';

let made = 0;
function listing(objects: number, channel = 'prod'): VerifiedTransport {
  made += 1;
  const name = (what: string): Digest => digestOf(Buffer.from(`${what} ${String(made)}`));
  const statement = {
    ...{ channel, sequence: made, release: { digest: name('release'), size: 1 } },
    objects: Array.from({ length: objects }, (_, i) => ({ digest: name(String(i)), size: 1, contentType: 'x' })),
  };
  return { id: name('bundle'), statement } as unknown as VerifiedTransport;
}

describe('bundles that wait for their release', () => {
  it('list no more than so many objects together, by channel; one alone may list any number', () => {
    const open = new OpenBundles();
    const take = (transport: VerifiedTransport) => open.take(transport, () => false);
    expect(open.crowded(listing(5000), 100)).toBe(false);
    const first = take(listing(50));
    expect([40, 47].map((objects) => open.crowded(listing(objects), 100))).toEqual([false, true]);
    expect(open.crowded(listing(1000, 'lab'), 100)).toBe(false);
    first.release = {} as JudgedRelease;
    expect(open.crowded(listing(1000), 100)).toBe(false);
    // Also those that list next to nothing.
    for (let i = 0; i < 25; i += 1) take(listing(0));
    expect(open.crowded(listing(1), 100)).toBe(true);
  });
});

describe('a statement that comes while too much waits', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('takes no number and comes in with a later pass', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: [randomBytes(2000)] });
    const crowded = vi.spyOn(OpenBundles.prototype, 'crowded').mockReturnValue(true);
    await receiver.arrive(bundle.transport);
    expect([receiver.state(bundle.id), receiver.told(bundle.id)]).toEqual([undefined, ['forget']]);
    crowded.mockReturnValue(false);
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('published');
  });

  it('comes in at once where its release is there', async () => {
    const receiver = await Receiver.open();
    const bundle = seal({ sequence: 1, blobs: [randomBytes(2000)] });
    vi.spyOn(OpenBundles.prototype, 'crowded').mockReturnValue(true);
    await receiver.arrive(bundle.release);
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('published');
  });
});
