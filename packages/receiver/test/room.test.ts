import { randomBytes } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import type { Places, Space } from '../src/room.ts';
import { type Bundle, digestOf, seal } from './bundles.ts';
import { Receiver } from './receiver.ts';

const KIB = 1024;
const blob = (kib = 300): Buffer => randomBytes(kib * KIB);

/** Places of a size that a test changes. */
function places(over: Partial<Places> = {}) {
  const space: { spool: Space; store: Space; short: number } = {
    spool: { limit: 1000 * KIB, free: 1000 * KIB },
    store: { limit: 2 ** 40, free: 2 ** 40 },
    short: 0,
  };
  const made: Places = {
    spool: () => space.spool,
    store: () => space.store,
    came: () => 0,
    onShort: (bytes) => (space.short = bytes),
    stalledMs: Infinity,
    ...over,
  };
  return { space, places: made };
}

const leave = (receiver: Receiver, { objects }: Bundle): string[] => receiver.told(objects[0]!.digest);

describe('a bundle that does not fit now', () => {
  it('waits, says so, and comes in by itself once another has left', async () => {
    const { space, places: limited } = places();
    const receiver = await Receiver.open({ places: limited });
    const first = seal({ sequence: 1, blobs: [blob(400), blob(300)] });
    const second = seal({ sequence: 2, previous: first.id, blobs: [blob(400)] });
    await receiver.statements(first);
    await receiver.statements(second);
    expect(leave(receiver, first)).toEqual(['allow']);
    expect(leave(receiver, second)).toEqual([]);
    expect(receiver.state(second.id)).toBe('receiving: waiting-for-room');
    expect(receiver.ledger.bundle(second.id)?.detail.text).toMatch(/^it needs 1 MiB, and the spool has 1 MiB/);
    expect(receiver.pipeline.open.map(({ waits }) => waits)).toEqual([false, true]);
    await receiver.pipeline.makeRoom();
    expect(receiver.ledger.events.about(second.id).filter(({ kind }) => kind === 'held')).toHaveLength(1);

    for (const object of first.objects) await receiver.arrive(object);
    await receiver.settled();
    await receiver.pipeline.makeRoom();
    expect(leave(receiver, second)).toEqual(['allow']);
    expect(receiver.state(second.id)).toBe('receiving');
    await receiver.arrive(second.objects[0]!);
    await receiver.settled();
    expect(receiver.state(second.id)).toBe('published');
    expect(space.short).toBe(0);
  });

  it('counts what the disk has, what comes in already, and not what the store has', async () => {
    const { space, places: limited } = places();
    const receiver = await Receiver.open({ places: limited });
    const shared = blob(600);
    await receiver.store.put(digestOf(shared), shared.length, shared);
    space.spool = { limit: 1000 * KIB, free: 350 * KIB };
    const first = seal({ sequence: 1, blobs: [shared, blob(340)] });
    await receiver.statements(first);
    expect(receiver.state(first.id)).toBe('receiving');
    const second = seal({ sequence: 2, previous: first.id, blobs: [blob(300)] });
    await receiver.statements(second);
    expect(receiver.state(second.id)).toBe('receiving: waiting-for-room');
  });

  it('does not count twice what has come of an object that is not whole', async () => {
    const { space, places: limited } = places({ came: () => 0.9 });
    const receiver = await Receiver.open({ places: limited });
    const first = seal({ sequence: 1, blobs: [blob(800)] });
    await receiver.statements(first);
    // Nine tenths of it are in the spool by now.
    space.spool = { limit: 1000 * KIB, free: 280 * KIB };
    const second = seal({ sequence: 2, previous: first.id, blobs: [blob(150)] });
    await receiver.statements(second);
    expect(receiver.state(second.id)).toBe('receiving');
  });

  it('asks for room in the store', async () => {
    const { space, places: limited } = places();
    const receiver = await Receiver.open({ places: limited });
    space.store = { limit: 2 ** 40, free: 100 * KIB };
    const bundle = seal({ sequence: 1, blobs: [blob(300)] });
    await receiver.statements(bundle);
    expect(receiver.state(bundle.id)).toBe('receiving: waiting-for-room');
    expect(space.short).toBe(200 * KIB);
    space.store = { limit: 2 ** 40, free: 400 * KIB };
    await receiver.pipeline.makeRoom();
    expect(receiver.state(bundle.id)).toBe('receiving');
  });

  it('waits over a restart, and one that was let in is not asked again', async () => {
    const { space, places: limited } = places();
    const receiver = await Receiver.open({ places: limited });
    const first = seal({ sequence: 1, blobs: [blob(700)] });
    const second = seal({ sequence: 2, previous: first.id, blobs: [blob(400)] });
    await receiver.statements(first);
    await receiver.statements(second);
    receiver.restart();
    space.spool = { limit: 1000 * KIB, free: 10 * KIB };
    await receiver.statements(first);
    await receiver.statements(second);
    expect(receiver.state(first.id)).toBe('receiving');
    expect(receiver.state(second.id)).toBe('receiving: waiting-for-room');
    expect(leave(receiver, second)).toEqual([]);
    receiver.pipeline.linkConnected();
    expect(leave(receiver, second)).toEqual([]);
  });

  it('gets the room of one of which nothing comes any more, which starts over when there is room again', async () => {
    const { space, places: limited } = places({ stalledMs: 0 });
    const receiver = await Receiver.open({ places: limited });
    const first = seal({ sequence: 1, blobs: [blob(400), blob(300)] });
    await receiver.statements(first);
    await receiver.arrive(first.objects[0]!);
    space.spool = { limit: 1000 * KIB, free: 600 * KIB };
    const second = seal({ sequence: 2, previous: first.id, blobs: [blob(500)] });
    await receiver.statements(second);
    expect(receiver.state(second.id)).toBe('receiving: waiting-for-room');
    await receiver.pipeline.makeRoom();
    expect(receiver.told(first.objects[0]!.digest)).toEqual(['allow', 'withdraw']);
    expect(receiver.state(first.id)).toMatch(/^receiving: (given-up|waiting-for-room)$/);
    expect(receiver.state(second.id)).toBe('receiving');
    await receiver.arrive(second.objects[0]!);
    await receiver.settled();
    expect(receiver.state(second.id)).toBe('published');
    space.spool = { limit: 1000 * KIB, free: 1000 * KIB };
    await receiver.pipeline.makeRoom();
    expect(receiver.state(first.id)).toBe('receiving');
    for (const object of first.objects) await receiver.arrive(object);
    await receiver.settled();
    expect(receiver.state(first.id)).toBe('published');
  });
});

describe('what the ledger does not take down', () => {
  const failing = (receiver: Receiver): void => {
    vi.spyOn(receiver.ledger.keeping, 'hold').mockImplementationOnce(() => {
      throw Object.assign(new Error('simulated'), { code: 'ledger-io' });
    });
  };

  it('is that a bundle comes in: it comes in when it does', async () => {
    const { space, places: limited } = places();
    const receiver = await Receiver.open({ places: limited });
    const bundle = seal({ sequence: 1, blobs: [blob(400)] });
    space.spool = { limit: 1000 * KIB, free: 0 };
    await receiver.statements(bundle);
    expect(receiver.state(bundle.id)).toBe('receiving: waiting-for-room');
    space.spool = { limit: 1000 * KIB, free: 1000 * KIB };
    failing(receiver);
    await receiver.pipeline.makeRoom();
    expect(leave(receiver, bundle)).toEqual([]);
    await receiver.pipeline.makeRoom();
    expect(leave(receiver, bundle)).toEqual(['allow']);
    expect(receiver.state(bundle.id)).toBe('receiving');
  });

  it('is that one gives way: it keeps what it has until it does', async () => {
    const { space, places: limited } = places({ stalledMs: 0 });
    const receiver = await Receiver.open({ places: limited });
    const first = seal({ sequence: 1, blobs: [blob(400), blob(300)] });
    await receiver.statements(first);
    space.spool = { limit: 1000 * KIB, free: 600 * KIB };
    const second = seal({ sequence: 2, previous: first.id, blobs: [blob(500)] });
    await receiver.statements(second);
    failing(receiver);
    await receiver.pipeline.makeRoom();
    expect(leave(receiver, first)).toEqual(['allow']);
    expect(receiver.state(first.id)).toBe('receiving');
    await receiver.pipeline.makeRoom();
    expect(leave(receiver, first)).toEqual(['allow', 'withdraw']);
    expect(receiver.state(first.id)).toBe('receiving: given-up');
  });
});

describe('a bundle that can never fit', () => {
  it.each([
    ['spool', 'spoolBytes'],
    ['store', 'disk of the store'],
  ] as const)('into the %s is refused before its first block', async (place, words) => {
    const { space, places: limited } = places();
    space[place] = { limit: 200 * KIB, free: 200 * KIB };
    const receiver = await Receiver.open({ places: limited });
    const bundle = seal({ sequence: 1, blobs: [blob(300)] });
    await receiver.statements(bundle);
    await receiver.settled();
    expect(receiver.state(bundle.id)).toBe('quarantined: no-room-ever');
    expect(receiver.ledger.bundle(bundle.id)?.detail.text).toContain(words);
    expect(leave(receiver, bundle)).toEqual([]);
  });
});
