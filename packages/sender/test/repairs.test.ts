import { join } from 'node:path';
import { createJsonLogger } from '@sluice/base';
import { encodeTicket, type Gap, type ObjectGap, type TicketResult } from '@sluice/bundle';
import { type SealedBundle, SenderLedger } from '@sluice/ledger';
import type { PassOrder } from '@sluice/transfer';
import { loadTicketSigner, loadTicketVerifier, makeKeyPair, sha256, type Signer } from '@sluice/trust';
import { describe, expect, it, onTestFinished } from 'vitest';
import { passOrder } from '../src/pipeline.ts';
import { type RepairParts, Repairs } from '../src/repairs.ts';
import { digestOf, scratch } from './inputs.ts';

const pair = makeKeyPair('Ed25519');
const signer = loadTicketSigner(pair.privatePem);
const stranger = loadTicketSigner(makeKeyPair('Ed25519').privatePem);
const MINUTE = 60_000;
const [E, B] = [64, 4];
const BLOCKS = 40;

class Staging {
  readonly ledger = new SenderLedger(join(scratch(), 'ledger.sqlite'));
  readonly sent: PassOrder[] = [];
  readonly repairs: Repairs;
  readonly #over: Partial<RepairParts>;
  now = 0;
  gone = false;

  constructor(over: Partial<RepairParts> = {}) {
    this.#over = over;
    onTestFinished(() => {
      this.ledger.close();
    });
    for (const name of ['one', 'two', 'three']) this.seal(name);
    this.repairs = this.begin();
  }

  /** As a sender that starts does it. */
  begin(): Repairs {
    return new Repairs({
      ledger: this.ledger,
      logger: createJsonLogger('test', { write: () => undefined }),
      channels: new Map([
        ['prod', [loadTicketVerifier(pair.publicPem)]],
        ['lab', []],
      ]),
      ...{ timeToLive: 3, symbolBytes: E, maxBlock: B, againMs: MINUTE, waiting: 16 },
      uptime: () => this.now,
      missing: (objects) => Promise.resolve(this.gone ? objects.map(({ digest }) => digest) : []),
      send: (bundle: SealedBundle, order) => this.sent.push(passOrder(bundle, 0, order)),
      ...this.#over,
    });
  }

  seal(name: string, channel = 'prod'): void {
    const object = (part: string) =>
      ({
        digest: digestOf(Buffer.from(name + part)),
        size: E * B * BLOCKS,
        contentType: 'application/octet-stream',
      }) as const;
    const release = { release: digestOf(Buffer.from(`${name} release`)), releaseSize: 300, bytes: 9 };
    const make = () => ({ id: digestOf(Buffer.from(name)), envelope: Buffer.alloc(200) });
    this.ledger.sealBundle({ channel, source: name, name, objects: [object('a'), object('b')], ...release, make });
  }
}

const gapOf = (objects: Gap['objects'], over: Partial<Gap> = {}): Gap => ({
  ...{ channel: 'prod', sequence: 2, symbolBytes: E, maxBlock: B, objects },
  ...over,
});
const ticketOf = (gap: Gap, key: Signer = signer): string => encodeTicket(gap, (message) => key.sign(message), sha256);
const codeOf = (result: TicketResult<unknown>): string => (result.ok ? 'ok' : result.error.code);
const some: readonly ObjectGap[] = [
  { object: 1, blocks: 'all' },
  {
    object: 3,
    blocks: [
      [0, 1],
      [39, 39],
    ],
  },
];

describe('a ticket', () => {
  it('makes the sender send just what it names, and is recorded in words', async () => {
    const staging = new Staging();
    const two = staging.ledger.numbered('prod', 2)!;
    expect(await staging.repairs.serve(ticketOf(gapOf(some)))).toMatchObject({
      ok: true,
      value: { bundle: two.id, before: 0 },
    });
    const [order] = staging.sent;
    expect(order).toMatchObject({
      bundle: two.id,
      kind: 'repair',
      pass: 1,
      statements: [{ digest: two.release, size: 300 }],
      objects: [{ digest: two.objects[1]!.digest }],
      blocks: [
        [
          [0, 1],
          [39, 39],
        ],
      ],
    });
    expect(order?.objects).toHaveLength(1);
    expect(staging.ledger.events.about(two.id).at(-1)).toMatchObject({
      kind: 'repair',
      body: { before: 0, words: expect.arrayContaining(['  of object 3 blocks 0 to 1, 39']) as string[] },
    });
    // Nothing of it changes what the carousel does.
    expect(staging.ledger.numbered('prod', 2)).toMatchObject({ passesDone: 0, state: 'queued' });
  });

  it('for all of a bundle brings both statements and every object', async () => {
    const staging = new Staging();
    const two = staging.ledger.numbered('prod', 2)!;
    expect(codeOf(await staging.repairs.serve(ticketOf(gapOf('all'))))).toBe('ok');
    expect(staging.sent[0]?.statements.map(({ digest }) => digest)).toEqual([two.id, two.release]);
    expect(staging.sent[0]?.objects).toEqual(two.objects);
    expect(staging.sent[0]?.blocks).toBeUndefined();
  });

  it('for statements and objects in a row brings these, and nothing beside them', async () => {
    const served = async (object: number, to: number) => {
      const staging = new Staging();
      const { id, release, objects } = staging.ledger.numbered('prod', 2)!;
      const names = [id, release, ...objects.map(({ digest }) => digest)];
      const result = await staging.repairs.serve(ticketOf(gapOf([{ object, to, blocks: 'all' }])));
      const [order] = staging.sent;
      const sent = [...(order?.statements ?? []), ...(order?.objects ?? [])];
      return [codeOf(result), ...sent.map(({ digest }) => names.indexOf(digest))];
    };
    expect(await served(0, 0)).toEqual(['ok', 0]);
    expect(await served(0, 2)).toEqual(['ok', 0, 1, 2]);
    expect(await served(1, 3)).toEqual(['ok', 1, 2, 3]);
    expect(await served(3, 3)).toEqual(['ok', 3]);
    expect(await served(2, 500_001)).toEqual(['ticket-foreign']);
  });

  it('in blocks of another shape has the objects sent whole', async () => {
    const staging = new Staging();
    const other = gapOf([{ object: 3, blocks: [[9999, 9999]] }], { symbolBytes: 128 });
    expect(codeOf(await staging.repairs.serve(ticketOf(other)))).toBe('ok');
    expect(staging.sent[0]?.blocks).toEqual([undefined]);
  });

  it('that was served before is served again with other symbols, recorded, and at a limited rate', async () => {
    const staging = new Staging({ waiting: 3 });
    const text = ticketOf(gapOf(some));
    expect(codeOf(await staging.repairs.serve(text))).toBe('ok');
    staging.now = MINUTE - 1;
    const soon = await staging.repairs.serve(text);
    expect([codeOf(soon), soon.ok ? '' : soon.error.detail]).toEqual([
      'ticket-too-soon',
      expect.stringContaining('in 1 s'),
    ]);
    expect(codeOf(await staging.repairs.serve(ticketOf(gapOf('all'))))).toBe('ok');
    staging.now = MINUTE;
    expect(await staging.repairs.serve(text)).toMatchObject({ ok: true, value: { before: 1 } });
    expect(staging.sent.map(({ pass }) => pass)).toEqual([1, 1, 2]);
    const { id } = staging.ledger.numbered('prod', 2)!;
    expect(staging.ledger.events.about(id).filter(({ kind }) => kind === 'repair')).toHaveLength(3);
    // As many as may wait wait.
    const another = ticketOf(gapOf('all', { sequence: 3 }));
    expect(codeOf(await staging.repairs.serve(another))).toBe('ticket-too-soon');
    staging.repairs.ended();
    expect(codeOf(await staging.repairs.serve(another))).toBe('ok');
  });

  it('is not served sooner because the sender was restarted meanwhile', async () => {
    const staging = new Staging();
    const text = ticketOf(gapOf(some));
    expect(codeOf(await staging.repairs.serve(text, { uid: 1001, reason: 'the fibre was dark' }))).toBe('ok');
    const { id } = staging.ledger.numbered('prod', 2)!;
    expect(staging.ledger.events.about(id).at(-1)?.body).toMatchObject({ uid: 1001, reason: 'the fibre was dark' });
    // Uptime begins anew with each start.
    staging.now = 5;
    const again = staging.begin();
    expect(codeOf(await again.serve(text))).toBe('ticket-too-soon');
    expect(codeOf(await again.serve(ticketOf(gapOf('all'))))).toBe('ok');
    staging.now = 5 + MINUTE;
    expect(await again.serve(text)).toMatchObject({ ok: true, value: { before: 1 } });
  });

  it('is refused with its code, leaves no record, and nothing is sent', async () => {
    const staging = new Staging();
    staging.seal('four');
    const text = ticketOf(gapOf(some));
    const refused: Record<string, [string, string]> = {
      'signed by a stranger': [ticketOf(gapOf(some), stranger), 'ticket-forged'],
      'of another channel': [ticketOf(gapOf('all', { channel: 'dev' })), 'ticket-foreign'],
      'of a channel without keys': [ticketOf(gapOf('all', { channel: 'lab' })), 'ticket-off'],
      'of a bundle that never was': [ticketOf(gapOf('all', { sequence: 5 })), 'ticket-foreign'],
      'of an object that never was': [ticketOf(gapOf([{ object: 4, blocks: 'all' }])), 'ticket-foreign'],
      'of a block that never was': [ticketOf(gapOf([{ object: 3, blocks: [[39, BLOCKS]] }])), 'ticket-foreign'],
      'of blocks of a statement': [ticketOf(gapOf([{ object: 1, blocks: [[0, 0]] }])), 'ticket-foreign'],
      'past its time to live': [ticketOf(gapOf('all', { sequence: 1 })), 'ticket-expired'],
      'with a typing error': [text.replace('39', '38'), 'ticket-typing'],
      'that is none': ['01 HELLO\n', 'ticket-typing'],
      'signed for another bundle': [
        // The body of one ticket over the signature of another: every line holds.
        [...text.split('\n').slice(0, 1), ...ticketOf(gapOf('all')).split('\n').slice(1)].join('\n'),
        'ticket-forged',
      ],
    };
    for (const [what, [ticket, code]] of Object.entries(refused)) {
      expect([what, codeOf(await staging.repairs.serve(ticket))]).toEqual([what, code]);
    }
    staging.gone = true;
    expect(codeOf(await staging.repairs.serve(text))).toBe('ticket-gone');
    expect(staging.sent).toEqual([]);
    const { id } = staging.ledger.numbered('prod', 2)!;
    expect(staging.ledger.events.about(id).map(({ kind }) => kind)).toEqual(['sealed']);
  });
});
