import type { DatagramSink, DatagramSource } from '@sluice/ports';
import { PortableSink, PortableSource } from './portable.ts';

export type LinkIo = 'auto' | 'native' | 'portable';

/** How a socket is driven, and why. */
export interface IoChoice {
  readonly io: 'native' | 'portable';
  readonly why: string;
}

const portable: IoChoice = { io: 'portable', why: 'node:dgram' };

/** The way out to `host:port`. */
export async function openSink(options: {
  readonly host: string;
  readonly port: number;
  readonly io: LinkIo;
}): Promise<DatagramSink & IoChoice> {
  const sink = await PortableSink.open(options.host, options.port);
  return Object.assign(sink, portable);
}

/** The way in, on a socket that is handed in or one of its own. */
export async function openSource(
  at: { readonly fd: number } | { readonly host: string; readonly port: number; readonly receiveBuffer: number },
  _io: LinkIo,
): Promise<DatagramSource & IoChoice> {
  return Object.assign(await PortableSource.open(at), portable);
}

/** See `libc.ts`; loaded on first use, so that a process that never asks loads no native code. */
export async function unixDatagramSend(path: string, message: string): Promise<void> {
  const { unixDatagramSend: send } = await import('./libc.ts');
  send(path, message);
}

/** See `libc.ts`. */
export async function bindUdp(at: {
  readonly host: string;
  readonly port: number;
  readonly receiveBuffer: number;
}): Promise<{ readonly fd: number; readonly receiveBuffer: number }> {
  const { bindUdp: bind } = await import('./libc.ts');
  return bind(at);
}
