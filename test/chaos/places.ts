/** A place in the product's text at which a process can be killed: just before `text`. */
export interface Place {
  readonly name: string;
  /** Stop of the way of a chunk (docs/ARCHITECTURE.md). */
  readonly stop: 9 | 10 | 11 | 12 | 13 | 14 | 15;
  /** Below packages/. */
  readonly file: string;
  /** There exactly once. */
  readonly text: string;
  /** How often it is passed first, at most. */
  readonly pass: number;
  /** A condition in the words of that place, where not every time counts. */
  readonly when?: string;
}

const MACHINE = 'transfer/src/receive/machine.ts';
const OBJECT = 'transfer/src/receive/object.ts';
const WRITER = 'link/src/spool-writer.ts';
const RECEIVER = 'receiver/src/pipeline.ts';
const PUBLISH = 'receiver/src/publish.ts';
const IMPORTER = 'importer/src/pipeline.ts';
const DELIVER = 'importer/src/deliver.ts';

/** At least four in each of the stops 9 to 15. */
export const PLACES: readonly Place[] = [
  { name: 'batch-unjudged', stop: 9, file: MACHINE, text: 'const datagrams = kernel.split(count);', pass: 300 },
  {
    name: 'batch-split',
    stop: 9,
    file: MACHINE,
    text: 'const followed = this.#followed;\n    this.#latest',
    pass: 300,
  },
  { name: 'tags-hold', stop: 9, file: MACHINE, text: 'for (let i = kernel.place(0, datagrams)', pass: 300 },
  { name: 'window-moved', stop: 9, file: MACHINE, text: 'this.#latest = { session, key };', pass: 4 },
  { name: 'block-begins', stop: 10, file: OBJECT, text: 'const segment = this.#segments.get(index) ??', pass: 90 },
  { name: 'memory-taken', stop: 10, file: OBJECT, text: 'let address = memory.take(bytes);', pass: 20 },
  { name: 'first-symbol', stop: 10, file: OBJECT, text: 'this.#gathering.set(sbn, block);', pass: 90 },
  { name: 'batch-placed', stop: 10, file: MACHINE, text: 'kernel.drain(this.counters.verdicts);', pass: 300 },
  {
    name: 'k-symbols',
    stop: 11,
    file: OBJECT,
    text: 'if (recovered > 0) recover(block);',
    pass: 90,
    when: 'recovered > 0',
  },
  {
    name: 'recovered',
    stop: 11,
    file: OBJECT,
    text: 'const bytes = block.bytes.subarray(0, blockBytes',
    pass: 90,
    when: 'recovered > 0',
  },
  { name: 'handed-on', stop: 11, file: OBJECT, text: "if (verdict !== 'stored') {", pass: 90, when: 'recovered > 0' },
  {
    name: 'counted',
    stop: 11,
    file: OBJECT,
    text: 'counters.recoveredSymbols += recovered;',
    pass: 90,
    when: 'recovered > 0',
  },
  { name: 'block-written', stop: 12, file: WRITER, text: 'await Promise.all(pieces.splice(0).map(write));', pass: 60 },
  { name: 'before-sync', stop: 12, file: WRITER, text: 'await file.sync();', pass: 6 },
  { name: 'before-map', stop: 12, file: WRITER, text: 'const map = entry.stored.slice();', pass: 6 },
  { name: 'map-unsynced', stop: 12, file: WRITER, text: 'await file.datasync();', pass: 6 },
  {
    name: 'before-rename',
    stop: 12,
    file: WRITER,
    text: "await rename(this.#parts.path(entry, 'part'), whole);",
    pass: 1,
  },
  { name: 'renamed', stop: 12, file: WRITER, text: 'await syncDirectory(dirname(whole));', pass: 1 },
  {
    name: 'statement-whole',
    stop: 13,
    file: RECEIVER,
    text: 'const judged = await judge.any(object, statementBytes);',
    pass: 1,
  },
  { name: 'transport-holds', stop: 13, file: RECEIVER, text: 'const chain = checkChain(transport,', pass: 1 },
  {
    name: 'before-release',
    stop: 13,
    file: RECEIVER,
    text: 'const judged = await this.#parts.judge.release(',
    pass: 1,
  },
  { name: 'before-contents', stop: 13, file: RECEIVER, text: 'const opened = await Contents.open(', pass: 1 },
  { name: 'before-closures', stop: 13, file: RECEIVER, text: 'const verified = await verifyBundle(', pass: 1 },
  { name: 'before-store', stop: 14, file: RECEIVER, text: 'await storeBundle(verified.value,', pass: 1 },
  { name: 'blobs-adopted', stop: 14, file: PUBLISH, text: 'await store.put(release.digest,', pass: 1 },
  { name: 'half-statements', stop: 14, file: PUBLISH, text: 'await store.put(transport.id,', pass: 1 },
  { name: 'before-ledger', stop: 14, file: RECEIVER, text: 'ledger.publish(id, release.name,', pass: 1 },
  { name: 'link-untold', stop: 14, file: RECEIVER, text: 'this.#spool.close(transport);\n    const others', pass: 1 },
  { name: 'queue-untold', stop: 14, file: RECEIVER, text: 'this.#parts.onPublished(id);', pass: 1 },
  { name: 'statements-read', stop: 15, file: IMPORTER, text: 'const plan = await makePlan(', pass: 1 },
  { name: 'a-blob-pushed', stop: 15, file: DELIVER, text: 'holders.set(digest, repository);', pass: 3 },
  { name: 'before-names', stop: 15, file: IMPORTER, text: 'const superseded = await publish(', pass: 1 },
  { name: 'claimed', stop: 15, file: DELIVER, text: 'const how = mine ?', pass: 1 },
  {
    name: 'before-replication',
    stop: 15,
    file: IMPORTER,
    text: 'if (plan.value.oci.length > 0) await replicateAll',
    pass: 1,
  },
  {
    name: 'before-receipt',
    stop: 15,
    file: IMPORTER,
    text: "const receipt = await receiptOf(ports, transport, { result: 'imported'",
    pass: 1,
  },
  { name: 'receipt-unsaid', stop: 15, file: IMPORTER, text: "return { result: 'imported', receipt };", pass: 1 },
];

/** Name of the function that the places call, if it is there. */
export const CALL = 'sluiceChaosPlace';

/** The module's text with its places in it. @throws when one is not there any more, or is not the only one */
export function withPlaces(source: string, file: string): string {
  let text = source;
  for (const place of PLACES.filter((each) => each.file === file)) {
    const parts = text.split(place.text);
    if (parts.length !== 2)
      throw new Error(`place ${place.name}: its text is ${String(parts.length - 1)} times in ${file}, not once`);
    const call = `globalThis.${CALL}?.('${place.name}');`;
    text = parts.join(`${place.when === undefined ? call : `if (${place.when}) ${call}`} ${place.text}`);
  }
  return text;
}
