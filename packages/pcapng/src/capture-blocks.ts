// A capture's blocks one by one, for who writes its files himself.
import { ENVELOPE_BYTES, ENVELOPE_NOTE, Envelope, type LogInterface } from './envelope.ts';
import { DATAGRAM_BYTES_MAX } from './limits.ts';
import {
  commentOptions,
  concatenated,
  interfaceDescription,
  packetBlockBytes,
  type SectionDescription,
  sectionHeader,
  writePacketBlock,
} from './write-blocks.ts';

const NO_OPTIONS = new Uint8Array(0);

export interface PacketExtras {
  readonly comment?: string | undefined;
  /** Bytes that the datagram had before it was cut. */
  readonly originalLength?: number;
}

/** The blocks of a capture with one interface. */
export class CaptureBlocks {
  readonly #envelope: Envelope;
  readonly #ends: LogInterface;

  constructor(ends: LogInterface) {
    this.#envelope = new Envelope(ends);
    this.#ends = ends;
  }

  /** The start of a file. */
  head(section: SectionDescription): Uint8Array {
    const snapBytes = ENVELOPE_BYTES + DATAGRAM_BYTES_MAX;
    return concatenated([sectionHeader(section), interfaceDescription(this.#ends.name, ENVELOPE_NOTE, snapBytes)]);
  }

  /** Bytes of the block of a datagram. */
  static packetBytes(datagram: number): number {
    return packetBlockBytes(ENVELOPE_BYTES + datagram, NO_OPTIONS);
  }

  /** The block of one datagram. */
  packet(
    datagram: Uint8Array,
    timestampNs: bigint,
    { comment, originalLength = datagram.length }: PacketExtras = {},
  ): Uint8Array {
    const tail = comment === undefined ? NO_OPTIONS : commentOptions(comment);
    const captured = ENVELOPE_BYTES + datagram.length;
    const bytes = new Uint8Array(packetBlockBytes(captured, tail));
    const target = { bytes, view: new DataView(bytes.buffer) };
    const times = { high: Number(timestampNs >> 32n), low: Number(timestampNs & 0xffffffffn) };
    const block = { interfaceId: 0, times, captured, original: ENVELOPE_BYTES + originalLength, tail };
    const at = writePacketBlock(target, 0, block);
    this.#envelope.write(target, at, originalLength);
    bytes.set(datagram, at + ENVELOPE_BYTES);
    return bytes;
  }
}
