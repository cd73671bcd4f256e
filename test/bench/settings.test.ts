import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../packages/base/src/index.ts';
import { linkConfig } from '../../packages/link/src/index.ts';
import { receiverConfig } from '../../packages/receiver/src/index.ts';
import { senderConfig } from '../../packages/sender/src/index.ts';
import { World } from '../world/world.ts';
import { REPAIR_20 } from './plan.ts';
import { apply, FAST, frameBytes, parseSetting, ROBUST, setIn } from './settings.ts';

describe('a setting by hand', () => {
  it('is JSON where it can be, else text', () => {
    expect(parseSetting('a.b=8')).toEqual(['a.b', 8]);
    expect(parseSetting('a.b=8MiB')).toEqual(['a.b', '8MiB']);
    expect(parseSetting('a={"b":[1]}')).toEqual(['a', { b: [1] }]);
    expect(parseSetting('a=b=c')).toEqual(['a', 'b=c']);
  });

  it('without a path is refused', () => {
    for (const text of ['', 'a', '=1']) expect(() => parseSetting(text)).toThrow('is no setting');
  });

  it('goes where its path says, into lists as well, and makes the sections it needs', () => {
    const configs = { sender: { channels: [{ asid: 0 }] } };
    setIn(configs, 'sender.channels.0.asid', 3);
    setIn(configs, 'sender.limits.bundleBytes', 1);
    expect(configs).toEqual({ sender: { channels: [{ asid: 3 }], limits: { bundleBytes: 1 } } });
    expect(() => setIn(configs, 'sender.channels.0.asid.x', 1)).toThrow('asid is no section');
  });
});

it('a datagram of the default symbol takes 1518 bytes on Ethernet', () => {
  expect(frameBytes(1408)).toBe(1518);
});

describe('what the daemons are set up with', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-bench-settings-'));
  let world: World;
  beforeAll(async () => {
    world = await World.create({ dir });
  });
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });

  it.each([
    ['fast', FAST],
    ['robust', ROBUST],
    ['20 % repair', { ...REPAIR_20, rate: 1_234_567_890.4 }],
  ])('%s is a configuration that they take, and reads as it was meant', (_name, settings) => {
    apply(world.configs, settings, [['sender.link.groupBytes', '8MiB']]);
    world.writeConfigs();
    const sender = loadConfig(join(dir, 'sender.json'), senderConfig);
    const receiver = loadConfig(join(dir, 'receiver.json'), receiverConfig);
    const link = loadConfig(join(dir, 'link.json'), linkConfig);
    expect(sender.link.fec).toEqual(settings.fec);
    expect(sender.link.rate).toBe(settings.rate === undefined ? undefined : 1_234_567_890);
    expect(sender.link.groupBytes).toBe(8 * 2 ** 20);
    expect(sender.carousel.passes).toBe(1);
    expect(sender.channels[0]?.algorithm).toBe(settings.algorithm);
    expect(link.keys[0]?.algorithm).toBe(settings.algorithm);
    // What the receiver takes must come through link before anything vouches for it.
    expect(link.limits.unsignedBytesHeld).toBeGreaterThanOrEqual(receiver.limits.statementBytes);
    expect(link.chunkLog.mode).toBe('off');
    expect(receiver.link?.receiveBuffer).toBe(settings.receiveBuffer);
    expect(receiver.channels[0]?.maxArtifacts).toBeGreaterThanOrEqual(100_000);
  });
});
