import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createJsonLogger } from '@sluice/base';
import { encodeHistory, type VerifyContext } from '@sluice/bundle';
import { signEnvelope, sha256 } from '@sluice/trust';
import { describe, expect, it } from 'vitest';
import { Histories } from '../src/history.ts';
import { MissingBundles } from '../src/missing.ts';
import { digestOf, type KeyName, type Piece, pieceOf, seal, signers, STATEMENT_TYPE, verifiers } from './bundles.ts';
import { Receiver } from './receiver.ts';

const idOf = (sequence: number) => digestOf(Buffer.from(`bundle ${sequence}`));

function historyOf(channel: string, sequences: readonly number[], key: KeyName = 'transport'): Piece {
  const bundles = sequences.map((sequence) => ({ sequence, bundle: idOf(sequence), name: `r${sequence}`, bytes: 5 }));
  return pieceOf(signEnvelope(encodeHistory({ channel, bundles }), [signers[key]]), STATEMENT_TYPE);
}

/** A receiver, with what takes histories before its pipeline. */
async function open() {
  const receiver = await Receiver.open();
  const lines: string[] = [];
  const logger = createJsonLogger('test', { write: (line) => lines.push(line) });
  const policy = { channel: 'prod', transportKeys: [signers.transport.keyid], releaseKeys: [] };
  const context = { policy, verifiers, sha256 } as unknown as VerifyContext;
  const told: string[] = [];
  const histories = new Histories({
    ledger: receiver.ledger,
    logger,
    channels: new Map([['prod', context]]),
    toLink: (message) => told.push(message.type),
  });
  const missing = new MissingBundles(receiver.ledger, logger);
  const take = async (piece: Piece): Promise<boolean> => {
    const object = receiver.named(piece);
    writeFileSync(object.path, piece.bytes);
    return histories.take(object);
  };
  const said = (): (string | undefined)[] =>
    lines.splice(0).map((line) => {
      const { msg, sequence, release, code } = JSON.parse(line) as Record<string, string>;
      return [msg?.slice(0, 19).trim(), sequence, release, code].filter((part) => part !== undefined).join(' ');
    });
  return { receiver, take, missing, told, said };
}

describe('what never came', () => {
  it('is named by a heartbeat, gets its name from the history, and is named no longer once it is there', async () => {
    const { receiver, take, missing, told, said } = await open();
    receiver.ledger.announce('prod', 2, idOf(2), 1);
    missing.look('prod');
    expect(said()).toEqual(['a bundle is missing 1', 'a bundle is missing 2']);
    missing.look('prod');
    expect(said()).toEqual([]);
    expect(await take(historyOf('prod', [1, 2]))).toBe(true);
    expect(told).toEqual(['forget']);
    missing.look('prod');
    expect(said()).toEqual(['the missing bundle 1 r1', 'the missing bundle 2 r2']);
    expect(missing.of('prod').map(({ bundle }) => bundle)).toEqual([idOf(1), idOf(2)]);
    const first = { channel: 'prod', sequence: 1, release: idOf(9), bytes: 5 };
    receiver.ledger.received({ id: idOf(1), ...first });
    missing.look('prod');
    expect(said()).toEqual(['a bundle is missing 1']);
  });

  it('is believed of a transport key of the channel alone', async () => {
    const { receiver, take, told, said } = await open();
    for (const [piece, code] of [
      [historyOf('prod', [1], 'stranger'), 'signer-unknown'],
      [historyOf('prod', [1], 'release'), 'signer-unknown'],
      [historyOf('lab', [1]), 'channel-mismatch'],
    ] as const) {
      expect(await take(piece)).toBe(true);
      expect(said()).toEqual([`a history was refus ${code}`]);
    }
    expect(told).toEqual(['forget', 'forget', 'forget']);
    expect(receiver.ledger.missing('prod', 10)).toEqual([]);
  });

  it('is not looked for in statements of bundles, nor in what is no statement', async () => {
    const { take, told } = await open();
    const bundle = seal({ sequence: 1, blobs: [randomBytes(10)] });
    for (const piece of [bundle.transport, bundle.release, pieceOf(randomBytes(50), STATEMENT_TYPE)]) {
      expect(await take(piece)).toBe(false);
    }
    expect(told).toEqual([]);
  });
});
