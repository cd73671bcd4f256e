import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SpooledObject } from '../src/inventory.ts';
import { pieceOf, seal, STATEMENT_TYPE } from './bundles.ts';
import { Receiver } from './receiver.ts';

/** Something that link may not see, and that no key signed: judged, it would be copied into quarantine. */
const SECRET = pieceOf(Buffer.from('{"password":"hunter2"}'), STATEMENT_TYPE);

describe('a link that was taken over', () => {
  it('has nothing opened but files of a spool', async () => {
    const receiver = await Receiver.open();
    const good = receiver.named(SECRET);
    const spool = join(receiver.dir, 'spool/prod');
    const other = join(receiver.dir, 'secret');
    const elsewhere = join(receiver.dir, 'spool/other');
    mkdirSync(elsewhere);
    const named = (over: Partial<SpooledObject>): SpooledObject => ({ ...good, ...over });
    const tries = [
      named({ path: other }),
      named({ path: `${spool}/../../secret` }),
      named({ path: `${elsewhere}/${good.key}.blob.whole` }),
      named({ path: good.path.replace('.whole', '.part') }),
      named({ key: 'secret', path: `${spool}/secret.blob.whole` }),
      named({ key: good.key.replace(/^../, '00'), path: good.path.replace(/\/[0-9a-f]{2}(?=[^/]*$)/, '/00') }),
      named({ path: good.path.slice(1) }),
    ];
    for (const object of tries) receiver.pipeline.grown(object, 1);
    receiver.pipeline.grown(good, 1);
    for (const { path } of tries) writeFileSync(path.startsWith('/') ? path : `/${path}`, SECRET.bytes);
    for (const object of tries) await receiver.pipeline.object(object);
    await receiver.settled();
    expect(receiver.log.filter((line) => line.includes('none of its spool'))).toHaveLength(2 * tries.length);
    expect(receiver.state(SECRET.digest)).toBeUndefined();
    // Under the right name the same bytes are judged, so the tries fail for their names.
    await receiver.arrive(SECRET);
    expect(receiver.quarantined(SECRET.digest)?.files).toContain(`${SECRET.digest.slice('sha256:'.length)}.dsse.json`);
  });

  it('is not followed over a link, and holds nothing up with a pipe', async () => {
    const receiver = await Receiver.open();
    const secret = join(receiver.dir, 'secret');
    writeFileSync(secret, SECRET.bytes);
    const linked = receiver.named(SECRET);
    symlinkSync(secret, linked.path);
    await receiver.pipeline.object(linked);
    expect(receiver.state(SECRET.digest)).toBeUndefined();
    const pipe = receiver.named(pieceOf(Buffer.from('pipe'), STATEMENT_TYPE));
    execFileSync('mkfifo', [pipe.path]);
    await receiver.pipeline.object(pipe);
    const bundle = seal({ sequence: 1, blobs: [Buffer.from('content')] });
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('published');
  });
});
