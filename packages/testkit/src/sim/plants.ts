/** A bug that the simulator must find: one piece of the product's text, and what stands there instead. */
export interface Plant {
  readonly name: string;
  /** Below packages/. */
  readonly file: string;
  readonly sound: string;
  readonly broken: string;
}

export const PLANTS: readonly Plant[] = [
  {
    name: 'skip-directory-fsync',
    file: 'store/src/pack-writer.ts',
    sound: 'syncPath(this.#packs, fsyncSync);',
    broken: '',
  },
  {
    name: 'publish-before-signature',
    file: 'bundle/src/approval.ts',
    sound: 'if (good.length < signatures) return tooFew(',
    broken: 'if (good.length > signatures) return tooFew(',
  },
  {
    name: 'parse-before-tag',
    file: 'transfer/src/receive/machine.ts',
    sound: "if (!authenticator.verify(datagram, TAG_OFFSET)) return 'bad-tag';",
    broken: "if (kind !== 'fdt' && !authenticator.verify(datagram, TAG_OFFSET)) return 'bad-tag';",
  },
  {
    name: 'replay-window-off-by-one',
    file: 'transfer/src/receive/window.ts',
    sound: 'if (sn > this.highest) return false;',
    broken: 'if (sn >= this.highest) return false;',
  },
  {
    name: 'outbox-outside-transaction',
    file: 'ledger/src/receiver.ts',
    sound: `      this.#database.prepare('INSERT OR IGNORE INTO outbox (bundle, queued) VALUES (?, 0)').run(id);
      this.signatures.note(id, 'release', body.signers ?? []);
      this.#events.append('published', id, body);
    });`,
    broken: `      this.signatures.note(id, 'release', body.signers ?? []);
      this.#events.append('published', id, body);
    });
    transaction(this.#database, () => {
      this.#database.prepare('INSERT OR IGNORE INTO outbox (bundle, queued) VALUES (?, 0)').run(id);
    });`,
  },
  {
    name: 'reconciler-off',
    file: 'receiver/src/outbox.ts',
    sound: "const wanted = state === 'absent' || state === 'failed' || state === 'completed';",
    broken: "const wanted = !queued && (state === 'absent' || state === 'failed' || state === 'completed');",
  },
  {
    name: 'accept-older-sequence',
    file: 'importer/src/deliver.ts',
    sound: 'if (ports.ledger.tagSequence(where, tag, place.channel) > place.sequence) return false;',
    broken: '',
  },
  {
    name: 'ledger-hash-skipped',
    file: 'ledger/src/events.ts',
    sound: "const lines = ['sluice-ledger-1', previous,",
    broken: "const lines = ['sluice-ledger-1', GENESIS,",
  },
  {
    name: 'resume-bitmap-ahead-of-data',
    file: 'link/src/spool-writer.ts',
    sound: `      await file.sync();
      if (this.#isWhole(entry))`,
    broken: '      if (this.#isWhole(entry))',
  },
  {
    name: 'budget-not-released',
    file: 'link/src/spool.ts',
    sound: '    this.#count(entry, -entry.bytes);\n',
    broken: '',
  },
  {
    name: 'retention-forgets-waiting',
    file: 'receiver/src/retention.ts',
    sound: 'for (const bundle of [...waiting, ...over]) {',
    broken: 'for (const bundle of over) {',
  },
  {
    name: 'nonce-reused',
    file: 'transfer/src/send/session.ts',
    sound: 'setSn(datagram, 0, this.#next(1));',
    broken: 'setSn(datagram, 0, at > 0 && this.#sn % 97 === 0 ? this.#sn : this.#next(1));',
  },
];

/** @throws for a name that is none */
export function plantOf(name: string): Plant {
  const plant = PLANTS.find((each) => each.name === name);
  if (plant === undefined) throw new Error(`no plant ${name}; there are ${PLANTS.map((each) => each.name).join(', ')}`);
  return plant;
}
