import { FDT_HEADER_BYTES, HEADER_BYTES, ntpFromUnix, SN_OFFSET } from '@sluice/alc';
import type { DatagramCode, Verdict } from '@sluice/ports';
import { type ReceiveLimits, spoolKey, WINDOW } from '@sluice/transfer';
import { Random } from '../../testkit/src/index.ts';
import { B, type Bench, E, HEARTBEAT, NTP, type TestObject, TSI } from './bench.ts';

/** A way to earn one code. */
export interface Fault {
  readonly what: string;
  readonly limits?: Partial<ReceiveLimits>;
  /** The verdict on the offending datagram. */
  readonly offend: (bench: Bench) => Verdict | undefined;
  /** Takes the reason away, where it would last. */
  readonly lift?: (bench: Bench) => void;
}

const TOI_FREE = 900_000;
const symbol = (bench: Bench): Uint8Array => bench.random.bytes(E);
/** A good datagram of a TOI that no FDT Instance names. */
const good = (bench: Bench): Uint8Array => bench.datagram(TOI_FREE, 0, 0, symbol(bench));
const goodFdt = (bench: Bench): Uint8Array => bench.fdt(bench.document([bench.object(100)]))[0] ?? new Uint8Array();

type Patch = readonly [at: number, ...bytes: number[]];
function patched(datagram: Uint8Array, [at, ...bytes]: Patch): Uint8Array {
  datagram.set(bytes, at);
  return datagram;
}

/** A good datagram with other bytes at a place, under a tag that holds. */
const changed = (what: string, ...patch: Patch): Fault => ({
  what,
  offend: (bench) => bench.send(bench.signed(patched(good(bench), patch))),
});
const changedFdt = (what: string, ...patch: Patch): Fault => ({
  what: `FDT: ${what}`,
  offend: (bench) => bench.send(bench.signed(patched(goodFdt(bench), patch))),
});
/** A good datagram with other bytes at a place, without a new tag. */
const forged = (what: string, ...patch: Patch): Fault => ({
  what,
  offend: (bench) => bench.send(patched(good(bench), patch)),
});

const cut = (length: number): Fault => ({
  what: `${length} bytes`,
  offend: (bench) => bench.send(good(bench).subarray(0, length)),
});
const random = (what: string, length: number, seed: number): Fault => ({
  what,
  offend: (bench) => bench.send(new Random(seed).bytes(length)),
});

/** A whole FDT Instance with another text in place of the first. */
const spelled = (what: string, from: string, to: string): Fault => ({
  what,
  offend: (bench) => {
    const text = new TextDecoder().decode(bench.document([bench.object(100)]));
    if (!text.includes(from)) throw new Error(`no ${from} in an FDT Instance`);
    return bench.sendAll(bench.fdt(new TextEncoder().encode(text.replace(from, to)))).at(-1);
  },
});

/** The verdict on the first symbol of an object that has been announced. */
function firstSymbol(bench: Bench, object: TestObject): Verdict | undefined {
  if (bench.announce([object]) !== 'accepted') throw new Error('the FDT Instance was not accepted');
  return bench.send(bench.block(object, 0, [0])[0] ?? new Uint8Array());
}

function conflict(bench: Bench, whole: boolean): Verdict | undefined {
  const instanceId = bench.nextInstanceId();
  const sent = bench.fdt(bench.document([bench.object(100)]), { instanceId });
  bench.sendAll(whole ? sent : sent.slice(0, 2));
  const other = bench.document([bench.object(100), bench.object(100)]);
  return bench.send(bench.fdt(other, { instanceId })[0] ?? new Uint8Array());
}

const heartbeat = (bench: Bench): TestObject => bench.object(20, { contentType: HEARTBEAT });

/** Every code that a datagram can earn, and ways to earn it. */
export const FAULTS: Readonly<Record<Exclude<DatagramCode, 'fdt-too-many-files'>, readonly Fault[]>> = {
  'too-short': [cut(0), cut(1), cut(HEADER_BYTES), cut(HEADER_BYTES + E - 1), random('random bytes', 60, 3)],
  'too-long': [
    random('a symbol of 8912 bytes', HEADER_BYTES + 8912, 1),
    { what: 'the longest there is', offend: (bench) => bench.send(new Uint8Array(65_507)) },
  ],
  'not-lct-1': [
    changed('LCT version 0', 0, 0x00),
    changed('LCT version 2', 0, 0x20),
    changedFdt('LCT version 2', 0, 0x20),
    random('random bytes', 1452, 2),
  ],
  'bad-header': [
    changed('PSI', 0, 0x11),
    changed('a CCI of 64 bits', 0, 0x14),
    changed('no TSI', 1, 0x20),
    changed('close session', 1, 0xa2),
    changed('close object', 1, 0xa1),
    changed('a longer header', 2, 11),
    changed("an FDT Instance's header length", 2, 16),
    changed('codepoint 0', 3, 0),
    changed('a CCI', 7, 1),
    changedFdt("an object's header length", 2, 10),
  ],
  'bad-extension': [
    changed('no EXT_AUTH', 16, 0),
    changed('EXT_AUTH of 5 words', 17, 5),
    changed('no anti-replay', 18, 0),
    changed('reserved bits', 18, 3),
    changed('SN 0', SN_OFFSET, 0, 0, 0, 0, 0),
    changedFdt('FLUTE version 1', 41, 0x10),
    changedFdt('another extension than EXT_FTI', 44, 0x41),
    changedFdt('SCT-Low', 58, 0xc0),
    changedFdt('Instance ID 0', 41, 0x20, 0, 0),
  ],
  'unknown-class': [
    {
      what: 'class 3',
      offend: (bench) => bench.send(bench.datagram(1, 0, 0, symbol(bench), { tsi: 3 * 2 ** 30 + 5 })),
    },
  ],
  'bad-esi': [changed('ESI 255', 43, 255), changedFdt('ESI 255', 67, 255)],
  'unknown-asid': [
    { what: 'ASID 2', offend: (bench) => bench.send(bench.datagram(1, 0, 0, symbol(bench), { asid: 2 })) },
    { what: 'ASID 15', offend: (bench) => bench.send(bench.datagram(1, 0, 0, symbol(bench), { asid: 15 })) },
  ],
  'key-ended': [
    {
      what: 'a key that was ended',
      offend: (bench) => {
        bench.machine.endKey(1);
        return bench.send(bench.datagram(1, 0, 0, symbol(bench), { asid: 1 }));
      },
    },
  ],
  replayed: [
    {
      what: 'the same datagram again',
      offend: (bench) => {
        const datagram = good(bench);
        bench.send(datagram);
        return bench.send(datagram);
      },
    },
    {
      what: 'the same datagram of an FDT Instance again',
      offend: (bench) => {
        const datagram = goodFdt(bench);
        bench.send(datagram);
        return bench.send(datagram);
      },
    },
    {
      what: 'a sequence number of another channel',
      offend: (bench) => {
        const sn = bench.sn(TSI);
        bench.send(bench.datagram(TOI_FREE, 0, 0, symbol(bench), { sn, asid: 1 }));
        return bench.send(bench.datagram(TOI_FREE, 0, 0, symbol(bench), { sn }));
      },
    },
    {
      what: 'one to the left of the window, which never came',
      offend: (bench) => {
        const early = good(bench);
        bench.skipTo(TSI, bench.sn(TSI) + WINDOW - 2);
        bench.send(good(bench));
        return bench.send(early);
      },
    },
  ],
  'bad-tag': [
    forged('a bit of the tag', 24, 0x55),
    forged('a bit of the last byte', HEADER_BYTES + E - 1, 0x55),
    forged('another TOI', 14, 0x77),
    forged('another SN', 22, 0x7f),
    forged('another ESI', 43, 0x77),
    forged("another channel's ASID", 18, 0x11),
    forged('a session that is not open', 9, 0x01),
    { what: 'a tag of another key', offend: (bench) => bench.send(bench.signed(good(bench), TSI, 1)) },
    { what: 'a tag of another session', offend: (bench) => bench.send(bench.signed(good(bench), TSI + 1)) },
    { what: 'an FDT Instance', offend: (bench) => bench.send(patched(goodFdt(bench), [FDT_HEADER_BYTES, 0x55])) },
    forged('random bytes behind a good start', 24, ...new Random(9).bytes(16)),
  ],
  'old-session': [
    {
      what: 'the session before',
      offend: (bench) => bench.send(bench.datagram(1, 0, 0, symbol(bench), { tsi: TSI - 1 })),
    },
    { what: 'the first session', offend: (bench) => bench.send(bench.datagram(1, 0, 0, symbol(bench), { tsi: 1 })) },
  ],
  'bad-length': [
    { what: 'a symbol of 65 bytes', offend: (bench) => bench.send(bench.datagram(1, 0, 0, bench.random.bytes(E + 1))) },
    {
      what: "a length that is not the session's",
      offend: (bench) => bench.send(bench.datagram(1, 0, 0, bench.random.bytes(E + 16))),
    },
    {
      what: "an FDT Instance of a length that is not the session's",
      offend: (bench) =>
        bench.send(bench.fdt(bench.document([bench.object(9)]), { symbolBytes: 96 })[0] ?? new Uint8Array()),
    },
  ],
  'bad-fti': [
    changedFdt('max_n 254', 55, 254),
    changedFdt('B 0', 54, 0),
    changedFdt('B 251', 54, 251),
    changedFdt('no bytes', 46, 0, 0, 0, 0, 0, 0),
    changedFdt('E of the objects', 52, 0, E),
    spelled('the document: FEC Encoding ID 0', 'Encoding-ID="5"', 'Encoding-ID="0"'),
    spelled('the document: B 251', 'Block-Length="10"', 'Block-Length="251"'),
    spelled("the document: an E that is not the session's", 'Symbol-Length="64"', 'Symbol-Length="80"'),
    spelled('the document: max_n 254', 'Symbols="255"', 'Symbols="254"'),
  ],
  'fdt-too-large': [
    changedFdt('65,537 bytes', 46, 0, 0, 0, 1, 0, 1),
    changedFdt('2^48 - 1 bytes', 46, 255, 255, 255, 255, 255, 255),
  ],
  'bad-sbn': [
    {
      what: 'one block beyond the last',
      offend: (bench) => {
        const object = bench.object(B * E * 2);
        bench.announce([object]);
        return bench.send(bench.datagram(object.toi, 2, 0, symbol(bench)));
      },
    },
    {
      what: 'the largest SBN there is',
      offend: (bench) => {
        const object = bench.object(1);
        bench.announce([object]);
        return bench.send(bench.datagram(object.toi, 2 ** 24 - 1, 0, symbol(bench)));
      },
    },
    changedFdt('a block beyond the last', 64, 0, 0, 1),
    {
      what: 'a heartbeat of two blocks',
      offend: (bench) => {
        const beat = heartbeat(bench);
        bench.announce([beat]);
        const padded = new Uint8Array(E);
        padded.set(beat.bytes);
        return bench.send(bench.datagram(beat.toi, 1, 0, padded));
      },
    },
  ],
  'fdt-conflict': [
    { what: 'another length while it is put together', offend: (bench) => conflict(bench, false) },
    { what: 'another length once it is known', offend: (bench) => conflict(bench, true) },
    {
      what: 'another B',
      offend: (bench) => {
        const document = bench.document([bench.object(100)]);
        const instanceId = bench.nextInstanceId();
        bench.send(bench.fdt(document, { instanceId })[0] ?? new Uint8Array());
        return bench.send(bench.fdt(document, { instanceId, maxBlock: 199 })[1] ?? new Uint8Array());
      },
    },
  ],
  'fdt-malformed': [
    { what: 'not a document', offend: (bench) => bench.sendAll(bench.fdt(bench.random.bytes(300))).at(-1) },
    {
      what: 'half a document',
      offend: (bench) => bench.sendAll(bench.fdt(bench.document([bench.object(9)]).subarray(0, 400))).at(-1),
    },
    spelled('a document type', '<FDT-Instance', '<!DOCTYPE x [<!ENTITY a "&b;&b;">]><FDT-Instance'),
    spelled('an unknown entity', 'application/octet-stream', '&a;&a;&a;'),
    spelled('a character reference', 'application/octet', '&#97;pplication/octet'),
    spelled('an external entity', '<FDT-Instance', '<!ENTITY a SYSTEM "file:///etc/passwd"><FDT-Instance'),
    spelled('a comment', '<File', '<!-- --><File'),
    spelled('CDATA', '</FDT-Instance>', '<![CDATA[x]]></FDT-Instance>'),
    spelled('an unknown attribute', 'TOI=', 'Group="1" TOI='),
    spelled('an attribute twice', 'TOI=', 'TOI="1" TOI='),
    spelled('no files', '<File', '<!File'),
    spelled('a length with a sign', 'Content-Length="', 'Content-Length="+'),
    spelled('two lengths', 'Transfer-Length="100"', 'Transfer-Length="101"'),
    spelled('another digest algorithm', 'sha-256;', 'sha-512;'),
    spelled('a path', 'ni:///', 'file:///'),
    {
      what: 'a TOI twice',
      offend: (bench) => {
        const object = bench.object(100);
        return bench.sendAll(bench.fdt(bench.document([object, object]))).at(-1);
      },
    },
  ],
  'fdt-expired': [
    {
      what: 'a second ago',
      offend: (bench) => bench.sendAll(bench.fdt(bench.document([bench.object(9)], NTP - 1))).at(-1),
    },
    {
      what: 'before the era turned, in the next one',
      offend: (bench) => {
        // 2036-02-07T06:28:16Z is NTP second 0 of the next era.
        const turn = 2_085_978_496;
        const document = bench.document([bench.object(9)], ntpFromUnix(turn - 10));
        return bench.sendAll(bench.fdt(document, { ntpSeconds: ntpFromUnix(turn + 10) })).at(-1);
      },
    },
  ],
  'object-too-large': [
    spelled(
      '2^40 + 1 bytes',
      'Content-Length="100" Transfer-Length="100"',
      `Content-Length="${2 ** 40 + 1}" Transfer-Length="${2 ** 40 + 1}"`,
    ),
    spelled(
      'more than 2^24 blocks',
      'Content-Length="100" Transfer-Length="100"',
      `Content-Length="${2 ** 40}" Transfer-Length="${2 ** 40}"`,
    ),
    { what: 'objectBytes', limits: { objectBytes: 5000 }, offend: (bench) => firstSymbol(bench, bench.object(5001)) },
  ],
  'unknown-toi-overflow': [
    {
      what: 'more than unknownToiBytes of one TOI',
      limits: { unknownToiBytes: 4 * E },
      offend: (bench) =>
        bench.sendAll([0, 1, 2, 3, 4].map((esi) => bench.datagram(TOI_FREE, 0, esi, symbol(bench)))).at(-1),
    },
    {
      what: 'more than unknownToiBytes of many TOIs',
      limits: { unknownToiBytes: 4 * E + 1 },
      offend: (bench) =>
        bench.sendAll([0, 1, 2, 3, 4].map((i) => bench.datagram(TOI_FREE + i, 0, 0, symbol(bench)))).at(-1),
    },
    {
      what: 'a symbol longer than unknownToiBytes',
      limits: { unknownToiBytes: E - 1 },
      offend: (bench) => bench.send(good(bench)),
    },
  ],
  'object-limit': [
    {
      what: 'one object more than may be followed',
      limits: { objects: 2 },
      offend: (bench) => {
        const second = bench.object(100);
        bench.announce([second]);
        return firstSymbol(bench, bench.object(200));
      },
      lift: (bench) => {
        for (const { info } of bench.eventsOf('object').slice(1)) bench.machine.forget('prod', spoolKey(info));
      },
    },
  ],
  budget: [
    {
      what: 'an object for which the spool has no room',
      offend: (bench) => {
        bench.spool.refuseOpen = () => 'budget';
        return firstSymbol(bench, bench.object(100));
      },
      lift: (bench) => (bench.spool.refuseOpen = () => undefined),
    },
    {
      what: 'a block for which the spool has no room',
      offend: (bench) => {
        bench.spool.refuse = () => 'budget';
        return firstSymbol(bench, bench.object(E));
      },
      lift: (bench) => (bench.spool.refuse = () => undefined),
    },
  ],
  'memory-limit': [
    {
      what: 'a block larger than the memory for blocks',
      limits: { blockBytes: 8192 },
      offend: (bench) => firstSymbol(bench, bench.object(200 * E, { maxBlock: 200 })),
    },
    {
      what: 'a disk that does not keep up',
      offend: (bench) => {
        bench.spool.refuse = () => 'memory-limit';
        return firstSymbol(bench, bench.object(E));
      },
      lift: (bench) => (bench.spool.refuse = () => undefined),
    },
    {
      what: 'a spool that has no memory for another object',
      offend: (bench) => {
        bench.spool.refuseOpen = () => 'memory-limit';
        return firstSymbol(bench, bench.object(E));
      },
      lift: (bench) => (bench.spool.refuseOpen = () => undefined),
    },
  ],
};
