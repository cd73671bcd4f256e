import { MIB } from './stats.ts';

/** How the pair is set up for a measurement. All of it is printed. */
export interface Settings {
  readonly fec: { readonly profile: string; readonly maxBlock?: number; readonly repair?: number };
  readonly algorithm: string;
  /** Ethernet bits per second; undefined for no ceiling. */
  readonly rate: number | undefined;
  readonly symbolBytes: number;
  readonly outageSurvived: string;
  readonly groupBytes: number;
  readonly statementLead: string;
  readonly receiveBuffer: number;
}

/**
 * Tuned for throughput: groups small enough for the caches, a short lead of the statements, a receive buffer for a
 * pause of a quarter of a second. Authentication, repair, interleaving, digests and fsync stay as they are.
 */
const COMMON = {
  rate: undefined,
  symbolBytes: 1408,
  outageSurvived: '20ms',
  groupBytes: 16 * MIB,
  statementLead: '20ms',
  receiveBuffer: 128 * MIB,
} as const;

export const FAST: Settings = { ...COMMON, fec: { profile: 'fast' }, algorithm: 'AES-256-GMAC' };
export const ROBUST: Settings = { ...COMMON, fec: { profile: 'robust' }, algorithm: 'HMAC-SHA-256-128' };

/** Header of a Sluice datagram, UDP and IPv4 headers, and what Ethernet adds (PROTOCOL.md L-4, I-2). */
const FRAME_OVERHEAD = 44 + 28 + 38;

/** Ethernet bytes of a datagram. */
export const frameBytes = (symbolBytes: number): number => symbolBytes + FRAME_OVERHEAD;

type Tree = Record<string, unknown>;

/** Sets a value deep in a configuration, by a path such as `sender.link.rate`. */
export function setIn(configs: object, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop() ?? '';
  let at = configs as Tree;
  for (const name of names) {
    at[name] ??= {};
    const next = at[name];
    if (typeof next !== 'object' || next === null) throw new Error(`${path}: ${name} is no section`);
    at = next as Tree;
  }
  at[last] = value;
}

/** One `--set PATH=VALUE`: the value is JSON, or else text. */
export function parseSetting(text: string): readonly [path: string, value: unknown] {
  const at = text.indexOf('=');
  if (at < 1) throw new Error(`"${text}" is no setting; write one such as sender.link.groupBytes=8MiB`);
  const value = text.slice(at + 1);
  try {
    return [text.slice(0, at), JSON.parse(value) as unknown];
  } catch {
    return [text.slice(0, at), value];
  }
}

/** Applies settings, then what was given by hand, to the configurations of a world. */
export function apply(
  configs: object,
  settings: Settings,
  byHand: readonly (readonly [path: string, value: unknown])[],
): void {
  const link = {
    'sender.link.fec': settings.fec,
    'sender.link.rate': settings.rate === undefined ? undefined : `${String(Math.round(settings.rate))}bit/s`,
    'sender.link.symbolBytes': settings.symbolBytes,
    'sender.link.outageSurvived': settings.outageSurvived,
    'sender.link.groupBytes': `${String(settings.groupBytes)}B`,
    'sender.link.statementLead': settings.statementLead,
    'sender.channels.0.algorithm': settings.algorithm,
    'sender.carousel': { passes: 1, gap: '10min' },
    'receiver.link.receiveBuffer': `${String(settings.receiveBuffer)}B`,
    'receiver.channels.0.maxBytes': '64GiB',
    'receiver.channels.0.maxArtifacts': 200_000,
    'link.keys.0.algorithm': settings.algorithm,
    'link.chunkLog.mode': 'off',
  };
  for (const [path, value] of [...Object.entries(link), ...byHand]) setIn(configs, path, value);
}
