/**
 * What the daemons say of their own stops, in /v1/status: the sender under `transmit`, the receiver under `link`.
 * `stageNs` holds nanoseconds spent in each stop since the start, by the stop's name; a daemon that does not time its
 * stops leaves it out, and then there is nothing to show.
 */
export interface SenderStatus {
  readonly link?: { readonly io?: string };
  readonly transmit?: {
    readonly counters?: {
      readonly datagrams?: number;
      readonly sourceSymbols?: number;
      readonly repairSymbols?: number;
    };
    readonly stalledNs?: number;
    readonly sendErrors?: number;
    readonly stageNs?: Readonly<Record<string, number>>;
  };
}

export interface LinkStatus {
  readonly io?: string;
  readonly receiveBuffer?: number;
  readonly numbers?: Readonly<Record<string, number>>;
  readonly verdicts?: Readonly<Record<string, number>>;
  readonly stageNs?: Readonly<Record<string, number>>;
}

export interface Stage {
  readonly side: 'sender' | 'link';
  readonly stop: string;
  readonly nsPerDatagram: number;
}

interface Both {
  readonly sender: SenderStatus;
  readonly link: LinkStatus;
}

const sum = (numbers: Readonly<Record<string, number>> = {}): number =>
  Object.values(numbers).reduce((total, each) => total + each, 0);

/** Nanoseconds per datagram of each stop between two readings. */
export function stagesBetween(before: Both, after: Both): Stage[] {
  const sent = (after.sender.transmit?.counters?.datagrams ?? 0) - (before.sender.transmit?.counters?.datagrams ?? 0);
  const seen = sum(after.link.verdicts) - sum(before.link.verdicts);
  return [
    ...stagesOf('sender', before.sender.transmit?.stageNs, after.sender.transmit?.stageNs, sent),
    ...stagesOf('link', before.link.stageNs, after.link.stageNs, seen),
  ];
}

function stagesOf(
  side: Stage['side'],
  before: Readonly<Record<string, number>> = {},
  after: Readonly<Record<string, number>> = {},
  datagrams: number,
): Stage[] {
  if (datagrams <= 0) return [];
  return Object.entries(after).map(([stop, ns]) => ({
    side,
    stop,
    nsPerDatagram: Math.round((ns - (before[stop] ?? 0)) / datagrams),
  }));
}
