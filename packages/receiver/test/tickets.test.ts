import { randomBytes } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createJsonLogger } from '@sluice/base';
import { parseTicket, type TicketResult } from '@sluice/bundle';
import { type Digest, hexOf } from '@sluice/ports';
import { loadTicketSigner, loadTicketVerifier, makeKeyPair, sha256 } from '@sluice/trust';
import { describe, expect, it } from 'vitest';
import { Gaps } from '../src/gaps.ts';
import { MissingBundles } from '../src/missing.ts';
import { holesIn } from '../src/spool/holes.ts';
import { Tickets } from '../src/tickets.ts';
import { digestOf, seal } from './bundles.ts';
import { Receiver, scratch } from './receiver.ts';

const KIB = 1024;
const pair = makeKeyPair('Ed25519');
const logger = createJsonLogger('test', { write: () => undefined });
const [E, B] = [64, 4];

/** An object in part in link's spool: `stored` of its blocks are on disk. */
function partly(spool: string, digest: Digest, size: number, stored: readonly number[], [e, b] = [E, B]): void {
  const blocks = Math.ceil(Math.ceil(size / e) / b);
  const map = new Uint8Array(Math.ceil(blocks / 8));
  for (const sbn of stored) map[sbn >>> 3]! |= 1 << (sbn & 7);
  const name = join(spool, 'prod', `${hexOf(digest)}-${size}-${e}-${b}.blob`);
  writeFileSync(`${name}.part`, '');
  writeFileSync(`${name}.map`, map);
}

async function open() {
  const receiver = await Receiver.open();
  const spoolDirectory = join(receiver.dir, 'spool');
  const missing = new MissingBundles(receiver.ledger, logger);
  const { ledger } = receiver;
  const open = () => receiver.pipeline.open;
  const gaps = new Gaps({ channels: ['prod', 'lab'], open, missing, ledger, spoolDirectory });
  const tickets = new Tickets({ gaps, ledger, logger, signer: loadTicketSigner(pair.privatePem) });
  const issue = async (name?: string): Promise<string> => {
    const { draft } = valueOf(await tickets.draft(name));
    return valueOf(await tickets.issue(name, draft)).ticket;
  };
  return { receiver, spoolDirectory, tickets, issue };
}

function valueOf<T>(result: TicketResult<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.detail}`);
  return result.value;
}
const codeOf = (result: TicketResult<unknown>): string => (result.ok ? 'ok' : result.error.code);

/** What a ticket asks for, once its signature holds. */
function asked(text: string) {
  const { gap, message, signature } = valueOf(parseTicket(text, sha256));
  expect(loadTicketVerifier(pair.publicPem).verify(message, signature)).toBe(true);
  return gap;
}

describe('what lacks of a bundle', () => {
  it('is all of it while its number alone is known, then objects and blocks, then nothing', async () => {
    const { receiver, spoolDirectory, tickets, issue } = await open();
    expect(codeOf(await tickets.draft())).toBe('ticket-nothing');
    const bundle = seal({
      sequence: 1,
      blobs: [randomBytes(300 * KIB), randomBytes(301 * KIB), randomBytes(302 * KIB)],
    });
    const [first, second, third] = bundle.objects;
    receiver.ledger.announce('prod', 1, bundle.id, 1);
    expect(asked(await issue())).toMatchObject({ channel: 'prod', sequence: 1, objects: 'all' });

    await receiver.arrive(bundle.transport);
    expect(asked(await issue('prod/1')).objects).toEqual([{ object: 1, to: 4, blocks: 'all' }]);
    await receiver.arrive(bundle.release);
    await receiver.arrive(second!);
    await receiver.settled();
    partly(spoolDirectory, first!.digest, first!.bytes.length, [0, 1, 2, 7]);
    const blocks = Math.ceil(first!.bytes.length / E / B);
    const gap = asked(await issue(bundle.id));
    expect(gap).toMatchObject({ symbolBytes: E, maxBlock: B });
    expect(gap.objects).toEqual([
      {
        object: 2,
        blocks: [
          [3, 6],
          [8, blocks - 1],
        ],
      },
      { object: 4, blocks: 'all' },
    ]);
    expect(valueOf(await tickets.draft('1')).words).toEqual([
      'Of bundle 1 of channel prod lack:',
      '  objects 4, whole',
      `  of object 2 blocks 3 to 6, 8 to ${blocks - 1}`,
      'Blocks of 4 symbols at most, of 64 bytes each.',
    ]);
    await receiver.arrive(first!);
    await receiver.arrive(third!);
    await receiver.settled();
    expect(codeOf(await tickets.draft('1'))).toBe('ticket-nothing');
  });

  it('is all of it where its statement held once and the spool has lost it', async () => {
    const { receiver, tickets, issue } = await open();
    const bundle = seal({ sequence: 1, blobs: [randomBytes(300 * KIB)] });
    await receiver.statements(bundle);
    expect(asked(await issue('prod/1')).objects).toEqual([{ object: 2, blocks: 'all' }]);
    receiver.restart();
    expect(receiver.pipeline.open).toEqual([]);
    expect(receiver.ledger.missing('prod', 10)).toEqual([]);
    expect(asked(await issue(bundle.id))).toMatchObject({ channel: 'prod', sequence: 1, objects: 'all' });
    await receiver.take(bundle);
    expect(receiver.state(bundle.id)).toBe('published');
    expect(codeOf(await tickets.draft())).toBe('ticket-nothing');
  });

  it('is read from the maps in the spool: what was begun in two shapes counts once, and no link is followed', async () => {
    const spool = scratch();
    mkdirSync(join(spool, 'prod'));
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => digestOf(Buffer.from(name))) as [
      Digest,
      Digest,
      Digest,
      Digest,
    ];
    partly(spool, a, 10_000, [1]);
    partly(spool, a, 10_000, [0, 1, 2], [128, 4]);
    partly(spool, b, 10_000, []);
    writeFileSync(join(spool, 'prod', `${hexOf(c)}-10000-64-4.blob.part`), '');
    writeFileSync(join(spool, 'secret'), Buffer.alloc(5, 255));
    writeFileSync(join(spool, 'prod', `${hexOf(d)}-10000-64-4.blob.part`), '');
    symlinkSync(join(spool, 'secret'), join(spool, 'prod', `${hexOf(d)}-10000-64-4.blob.map`));
    const holes = await holesIn(spool, 'prod', new Set([a, b, c, d]));
    expect([...holes]).toEqual([[a, { symbolBytes: 128, maxBlock: 4, blocks: [[3, 19]] }]]);
    expect((await holesIn(spool, 'prod', new Set([b]))).size).toBe(0);
    expect((await holesIn(spool, 'lab', new Set([a]))).size).toBe(0);
  });
});

describe('a ticket', () => {
  it('is issued only as it was shown, and the ledger holds it word for word', async () => {
    const { receiver, tickets, issue } = await open();
    const bundle = seal({ sequence: 1, blobs: [randomBytes(300 * KIB)] });
    receiver.ledger.announce('prod', 1, bundle.id, 1);
    const { draft } = valueOf(await tickets.draft('1'));
    await receiver.arrive(bundle.transport);
    expect(codeOf(await tickets.issue('1', draft))).toBe('ticket-changed');
    expect(receiver.ledger.events.about('prod/1')).toEqual([]);
    const text = await issue('1');
    // The same gap gives the same bytes, whenever it is asked for.
    expect(await issue('1')).toBe(text);
    const events = receiver.ledger.events.about('prod/1');
    expect(events.map(({ kind, body }) => [kind, body.ticket])).toEqual([
      ['ticket', text],
      ['ticket', text],
    ]);
  });

  it('is of one bundle: of several that are not whole, one must be named', async () => {
    const { receiver, tickets } = await open();
    receiver.ledger.announce('prod', 2, digestOf(Buffer.from('x')), 1);
    receiver.ledger.announce('lab', 1, digestOf(Buffer.from('y')), 1);
    const several = await tickets.draft();
    expect(several.ok ? '' : several.error.detail).toContain('name one: lab/1, prod/1, prod/2');
    expect(codeOf(await tickets.draft('1'))).toBe('ticket-nothing');
    expect(valueOf(await tickets.draft('2')).words).toEqual(['All of bundle 2 of channel prod lacks.']);
    expect(valueOf(await tickets.draft('lab/1')).channel).toBe('lab');
    for (const name of ['prod/3', 'dev/1', 'x', 'sha256:00', '0'])
      expect(codeOf(await tickets.draft(name))).toBe('ticket-nothing');
  });

  it('takes an Ed25519 key and no other: their signatures differ each time', () => {
    expect(() => loadTicketSigner(makeKeyPair('ECDSA-P256').privatePem)).toThrow('must be Ed25519');
    expect(() => loadTicketVerifier(makeKeyPair('ECDSA-P384').publicPem)).toThrow('must be Ed25519');
  });
});
