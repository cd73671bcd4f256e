import { connect, createServer, type Socket } from 'node:net';
import { Backoff, type BackoffOptions } from './backoff.ts';
import {
  attachLines,
  encodeLine,
  LINE_BYTES_MAX,
  LINE_QUEUE_BYTES_MAX,
  type LineHandlers,
  type LinePeer,
} from './lines.ts';
import { listenUnix, type SocketAccess } from './unixsocket.ts';

/** Connections of one line server at a time; further ones are closed at once. */
export const LINE_CONNECTIONS_MAX = 8;

export interface LineServerOptions<In, Out> extends LineHandlers<In, Out> {
  readonly path: string;
  readonly access: SocketAccess;
  readonly connectionsMax?: number;
  readonly onConnect?: (peer: LinePeer<Out>) => void;
}

export interface LineServer<Out> {
  readonly peers: ReadonlySet<LinePeer<Out>>;
  /** Stops listening, lets each connection write what is queued, and closes. */
  close(): Promise<void>;
}

/** Serves newline-delimited JSON on a Unix socket. @throws OperationalError of `listenUnix`. */
export async function serveLines<In, Out>(options: LineServerOptions<In, Out>): Promise<LineServer<Out>> {
  const peers = new Set<LinePeer<Out>>();
  const server = createServer((socket) => {
    const peer = attachLines(socket, options);
    peers.add(peer);
    void peer.closed.then(() => peers.delete(peer));
    options.onConnect?.(peer);
  });
  server.maxConnections = options.connectionsMax ?? LINE_CONNECTIONS_MAX;
  await listenUnix(server, options.path, options.access);
  return {
    peers,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        for (const peer of peers) peer.close();
      }),
  };
}

export interface LineClientOptions<In, Out> extends LineHandlers<In, Out> {
  readonly path: string;
  /** Said first on each new connection, before anything queued: the state that the other side must know. */
  readonly hello?: () => readonly Out[];
  readonly onConnect?: () => void;
  readonly onDisconnect?: (error: Error | undefined) => void;
  readonly backoff?: BackoffOptions;
}

export interface LineClient<Out> {
  /**
   * Sends, or queues while there is no connection, in order. False when the queue is full (`queueBytesMax`, default
   * 4 MiB): the message is refused, what is queued stays. As on any connection, delivery is at most once.
   */
  send(message: Out): boolean;
  queuedBytes(): number;
  readonly connected: boolean;
  /** Writes what the open connection has queued, then closes for good. */
  close(): Promise<void>;
}

/** Keeps a connection to a line server, trying again with growing waits for as long as it is not closed. */
export function connectLines<In, Out>(options: LineClientOptions<In, Out>): LineClient<Out> {
  return new ReconnectingClient(options);
}

class ReconnectingClient<In, Out> implements LineClient<Out> {
  readonly #options: LineClientOptions<In, Out>;
  readonly #backoff: Backoff;
  readonly #waiting: Out[] = [];
  #waitingBytes = 0;
  #peer: LinePeer<Out> | undefined;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: LineClientOptions<In, Out>) {
    this.#options = options;
    this.#backoff = new Backoff(options.backoff);
    this.#connect();
  }

  get connected(): boolean {
    return this.#peer !== undefined;
  }

  queuedBytes(): number {
    return this.#waitingBytes + (this.#peer?.queuedBytes() ?? 0);
  }

  send(message: Out): boolean {
    if (this.#closed) return false;
    if (this.#peer !== undefined) return this.#peer.send(message);
    const bytes = encodeLine(message, this.#options.lineBytesMax ?? LINE_BYTES_MAX).length;
    if (this.#waitingBytes + bytes > (this.#options.queueBytesMax ?? LINE_QUEUE_BYTES_MAX)) return false;
    this.#waiting.push(message);
    this.#waitingBytes += bytes;
    return true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const peer = this.#peer;
    if (peer === undefined) {
      this.#socket?.destroy();
      return;
    }
    peer.close();
    await peer.closed;
  }

  #connect(): void {
    const socket = connect(this.#options.path);
    this.#socket = socket;
    let failure: Error | undefined;
    socket.on('error', (error) => {
      failure = error;
    });
    socket.once('connect', () => {
      this.#open(socket);
    });
    socket.once('close', () => {
      const was = this.#peer;
      this.#peer = undefined;
      if (was !== undefined) this.#options.onDisconnect?.(failure);
      if (this.#closed) return;
      this.#timer = setTimeout(() => {
        this.#connect();
      }, this.#backoff.next());
    });
  }

  #open(socket: Socket): void {
    const hello = this.#options.hello?.() ?? [];
    const waiting = this.#waiting.splice(0);
    this.#peer = attachLines(socket, this.#options, [...hello, ...waiting]);
    this.#waitingBytes = 0;
    this.#backoff.reset();
    this.#options.onConnect?.();
  }
}
