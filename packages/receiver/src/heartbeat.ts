import { type Digest, faultsOf, isDigest, type SenderFault } from '@sluice/ports';

/** Heartbeat bodies are numbers, enums and digests; anything else in one is left out. */
export interface Heartbeat {
  readonly seconds: number;
  readonly state: 'idle' | 'sending' | 'paused' | 'degraded';
  readonly sequence: number;
  readonly head: Digest | null;
  readonly config: Digest;
  /** What the sender says is wrong with it. */
  readonly faults: readonly SenderFault[];
}

const STATES = ['idle', 'sending', 'paused', 'degraded'] as const;

/** The heartbeat in a body (docs/PROTOCOL.md section 7), or undefined when it is none. */
export function parseHeartbeat(body: string): Heartbeat | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { v, seconds, state, sequence, head, config, faults = 0 } = value as Readonly<Record<string, unknown>>;
  const count = (n: unknown): n is number => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0;
  const known = STATES.find((candidate) => candidate === state);
  if (v !== 1 || !count(seconds) || !count(sequence) || known === undefined || !isDigest(config)) return undefined;
  if (head !== null && !isDigest(head)) return undefined;
  if (!count(faults)) return undefined;
  return { seconds, state: known, sequence, head, config, faults: faultsOf(faults) };
}
