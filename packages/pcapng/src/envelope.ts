// The IPv4 and UDP headers that the chunk log puts around a UDP payload. The socket does not hand them over, so they are made up
// from the configured addresses; the interface description says so.
import type { Target } from './write-blocks.ts';

export const ENVELOPE_BYTES = 28;
const IPV4_HEADER_BYTES = 20;
const DONT_FRAGMENT = 0x4000;
const TTL = 64;
const UDP = 17;

/** One UDP port that is logged. Addresses are dotted IPv4. */
export interface LogInterface {
  readonly name: string;
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly destinationAddress: string;
  readonly destinationPort: number;
}

export const ENVELOPE_NOTE = 'IPv4 and UDP headers are synthesised around the UDP payload; UDP checksum 0: none';

function addressBytes(address: string): number[] {
  const parts = address.split('.').map(Number);
  const good = parts.length === 4 && parts.every((part) => Number.isInteger(part) && part >= 0 && part <= 255);
  if (!good) throw new Error(`${address} is not a dotted IPv4 address`);
  return parts;
}

/** The RFC 1071 sum of 16-bit words, folded but not inverted. */
function wordSum(view: DataView, bytes: number): number {
  let sum = 0;
  for (let at = 0; at < bytes; at += 2) sum += view.getUint16(at);
  return sum;
}

const folded = (sum: number): number => {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
};

/** Writes the 28 bytes for a payload of any length: everything but three fields is made once. */
export class Envelope {
  readonly #template = new Uint8Array(ENVELOPE_BYTES);
  readonly #sum: number;

  constructor(ends: LogInterface) {
    const view = new DataView(this.#template.buffer);
    view.setUint8(0, 0x45);
    view.setUint16(6, DONT_FRAGMENT);
    view.setUint8(8, TTL);
    view.setUint8(9, UDP);
    this.#template.set(addressBytes(ends.sourceAddress), 12);
    this.#template.set(addressBytes(ends.destinationAddress), 16);
    view.setUint16(IPV4_HEADER_BYTES, ends.sourcePort);
    view.setUint16(IPV4_HEADER_BYTES + 2, ends.destinationPort);
    this.#sum = wordSum(view, IPV4_HEADER_BYTES);
  }

  write({ bytes, view }: Target, offset: number, payloadBytes: number): void {
    const total = ENVELOPE_BYTES + payloadBytes;
    bytes.set(this.#template, offset);
    view.setUint16(offset + 2, total);
    view.setUint16(offset + 10, ~folded(this.#sum + total) & 0xffff);
    view.setUint16(offset + IPV4_HEADER_BYTES + 4, total - IPV4_HEADER_BYTES);
  }
}
