import type { DatagramSink, DatagramSource, ReceivedBatch } from '@sluice/ports';
import { OperationalError } from '@sluice/ports';
import { PortableSink, PortableSource } from './portable.ts';
import type { ReceiveMemory } from './native-source.ts';
import type { BindOptions } from './socket.ts';

export { RECEIVE_BYTES } from './limits.ts';
export type { BindOptions, ConnectOptions } from './socket.ts';
export type { ReceiveMemory } from './native-source.ts';

/** How sockets are driven: `native` calls libc in batches, `portable` is node:dgram alone, `auto` tries in this order. */
export type LinkIo = 'auto' | 'native' | 'portable';

/** What was chosen, and why. */
export interface IoChoice {
  readonly io: 'native' | 'portable';
  readonly why: string;
}

export interface LinkSink extends DatagramSink, IoChoice {
  /** Sends that found an ICMP error of an earlier datagram; the datagrams were sent again. */
  readonly refusals: number;
  /** Times the kernel had no room. */
  readonly stalls: number;
}

export interface LinkSource extends DatagramSource, IoChoice {
  /** Native only: nanoseconds spent in receiving so far. */
  readonly receiveNs?: number;
  /** Native only: blocks the calling thread for at most `timeoutMs`. See `NativeSource`. */
  receiveOnce?(timeoutMs: number): ReceivedBatch | undefined;
}

export interface SinkOptions {
  /** IPv4 address, or a name that has one. */
  readonly host: string;
  readonly port: number;
  readonly io: LinkIo;
  /** Native only, see `ConnectOptions`. */
  readonly maxPacingRate?: number | undefined;
  /** Told in one sentence when the kernel does less than was hoped for. */
  readonly onNote?: (text: string) => void;
}

// Loaded on first use, so that a process that asks for `portable` loads no native code.
const loadNative = async () => ({
  ...(await import('./native-sink.ts')),
  ...(await import('./native-source.ts')),
  ...(await import('./socket.ts')),
});
type Native = Awaited<ReturnType<typeof loadNative>>;

/** The native calls where they are wanted and can be had. @throws OperationalError `link-native` when `native` is a must and they cannot. */
async function nativeFor(io: LinkIo): Promise<{ readonly native: Native | undefined; readonly why: string }> {
  if (io === 'portable') return { native: undefined, why: 'chosen by configuration' };
  try {
    return { native: await loadNative(), why: 'batches through libc' };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n', 1).join('') : String(cause);
    if (io === 'auto') return { native: undefined, why: `native calls cannot be loaded: ${reason}` };
    const what = `native socket calls cannot be loaded (${reason}); set io to "portable" or install the binding`;
    throw new OperationalError('link-native', what, { retryable: false, cause });
  }
}

const chosen = <T extends object>(socket: T, io: IoChoice['io'], why: string): T & IoChoice =>
  Object.assign(socket, { io, why });

/** The way out. @throws OperationalError `socket`, `link-native` */
export async function openSink({ host: name, port, io, maxPacingRate, onNote }: SinkOptions): Promise<LinkSink> {
  const host = await addressOfHost(name);
  const { native, why } = await nativeFor(io);
  if (native === undefined) return chosen(await PortableSink.open({ host, port }), 'portable', why);
  return chosen(new native.NativeSink({ host, port, maxPacingRate }, onNote), 'native', why);
}

/** The way in, on a socket that is handed in (and then ours) or one of its own. @throws OperationalError `socket`, `link-native` */
export async function openSource(
  at: { readonly fd: number } | BindOptions,
  io: LinkIo,
  memory?: ReceiveMemory,
): Promise<LinkSource> {
  const { native, why } = await nativeFor(io);
  if (native !== undefined) {
    return chosen(new native.NativeSource('fd' in at ? at.fd : native.bindUdp(at).fd, memory), 'native', why);
  }
  const source = await PortableSource.open(at);
  const blind = source.dropsKnown ? '' : '; kernel drops unknown: the socket is of another network namespace';
  return chosen(source, 'portable', why + blind);
}

async function addressOfHost(name: string): Promise<string> {
  try {
    // Loaded where it is needed: who only receives has nothing to look up.
    const { lookup } = await import('node:dns/promises');
    return (await lookup(name, { family: 4 })).address;
  } catch (cause) {
    const what = `"${name}" has no IPv4 address; write the address of the isolated side's diode interface`;
    throw new OperationalError('socket', what, { retryable: true, cause });
  }
}

/** See `socket.ts`; this one and those below load the native calls on first use. */
export const bindUdp = async (options: BindOptions) => (await import('./socket.ts')).bindUdp(options);

/** See `socket.ts`. */
export const unixDatagramSend = async (path: string, message: string | Uint8Array): Promise<void> =>
  (await import('./socket.ts')).unixDatagramSend(path, message);

/** See `socket.ts`. */
export const peerCredentials = async (fd: number) => (await import('./socket.ts')).peerCredentials(fd);

/** See `socket.ts`. */
export const setTimerSlack = async (nanoseconds: number): Promise<void> =>
  (await import('./socket.ts')).setTimerSlack(nanoseconds);

/** See `socket.ts`. */
export const trimHeaps = async (): Promise<void> => (await import('./socket.ts')).trimHeaps();
