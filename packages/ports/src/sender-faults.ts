/** What a sender says of itself in its heartbeat when it is not well (PROTOCOL.md section 7): the bit is the place in this list. */
export const SENDER_FAULTS = ['send-refused', 'pass-failed', 'disk-low', 'queue-old'] as const;
export type SenderFault = (typeof SENDER_FAULTS)[number];

/** The number in the heartbeat. */
export const faultBits = (faults: readonly SenderFault[]): number =>
  SENDER_FAULTS.reduce((bits, fault, place) => (faults.includes(fault) ? bits | (1 << place) : bits), 0);

/** What a number says; bits that are not known yet are left out. */
export const faultsOf = (bits: number): readonly SenderFault[] =>
  SENDER_FAULTS.filter((_, place) => Math.floor(bits / 2 ** place) % 2 === 1);
