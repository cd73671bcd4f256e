import { describe, expect, it } from 'vitest';
import type { LinkToReceiver } from '@sluice/ports';
import { Announcer } from '../src/announcer.ts';
import { until } from './tools.ts';

const object = (n: number): LinkToReceiver => ({
  type: 'object',
  channel: 'prod',
  key: String(n),
  digest: `sha256:${'a'.repeat(64)}`,
  size: 1,
  contentType: 'application/octet-stream',
  path: `/spool/${n}`,
});
const nameOf = (message: LinkToReceiver): string => (message.type === 'object' ? message.key : message.type);

describe('telling the receiver', () => {
  it('names every whole object to a receiver that connects, however slowly it reads', async () => {
    const said: string[] = [];
    let room = 0;
    const announcer = new Announcer(
      () => [1, 2, 3, 4, 5].map(object),
      (message) => {
        if (room === 0) return false;
        room -= 1;
        said.push(nameOf(message));
        return true;
      },
    );
    const done = announcer.announce();
    await until(() => {
      room = 1;
      return said.length === 5;
    });
    await done;
    expect(said).toEqual(['1', '2', '3', '4', '5']);
  });

  it('an object that was not taken is named again; other messages may be lost', async () => {
    const whole = [object(1), object(2)];
    const said: string[] = [];
    let full = true;
    const announcer = new Announcer(
      () => whole,
      (message) => {
        if (!full) said.push(nameOf(message));
        return !full;
      },
    );
    announcer.say({ type: 'alarm', code: 'spool-full', detail: '' });
    full = false;
    announcer.tick();
    expect(said).toEqual([]);
    full = true;
    announcer.say(object(2));
    full = false;
    announcer.tick();
    await until(() => said.length === 2);
    announcer.tick();
    announcer.say(object(3));
    expect(said).toEqual(['1', '2', '3']);
  });

  it('begins anew for each connection, and leaves the one before unfinished', async () => {
    const said: string[] = [];
    let open = false;
    const announcer = new Announcer(
      () => [object(1), object(2)],
      (message) => {
        if (open) said.push(nameOf(message));
        return open;
      },
    );
    const first = announcer.announce();
    open = true;
    const second = announcer.announce();
    await Promise.all([first, second]);
    expect(said).toEqual(['1', '2']);
  });
});
