import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { seal } from './bundles.ts';
import { Receiver } from './receiver.ts';

it('a statement that could not be judged, since the disk failed, is judged once the disk is back', async () => {
  const receiver = await Receiver.open();
  const { id, transport } = seal({ sequence: 1, blobs: [Buffer.from('content')] });
  const object = receiver.named(transport);
  // As good as an error of the disk: what is there cannot be read as a file.
  mkdirSync(object.path, { recursive: true });
  await receiver.pipeline.object(object);
  expect(receiver.state(id)).toBeUndefined();
  // Link will not name the object again: it lies whole in its spool.
  rmdirSync(object.path);
  writeFileSync(object.path, transport.bytes);
  await vi.waitFor(() => expect(receiver.state(id)).toBe('receiving'), { timeout: 15_000, interval: 100 });
});
