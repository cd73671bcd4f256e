import type { Kernel, Process } from './kernel.ts';

interface End<In> {
  readonly process: Process;
  readonly parse: (value: unknown) => In | undefined;
  readonly onMessage: (message: In) => void | Promise<void>;
}

export interface ServerEnd<In, Out> extends End<In> {
  readonly onConnect: (send: (message: Out) => boolean) => void;
}

export interface ClientEnd<In, Out> extends End<In> {
  readonly hello: () => Out;
  readonly onConnect: () => void;
}

const HOP_NS = 50_000;
const AGAIN_NS = 400e6;
/** Messages that may wait, as the real queue's bytes may. */
const QUEUED = 2000;

/** One direction of a connection: messages in order, each handled to its end before the next. */
class Lane<T> {
  readonly #kernel: Kernel;
  readonly #to: End<T>;
  readonly #open: () => boolean;
  readonly #queue: unknown[] = [];
  #busy = false;

  constructor(kernel: Kernel, to: End<T>, open: () => boolean) {
    this.#kernel = kernel;
    this.#to = to;
    this.#open = open;
  }

  send(message: unknown): boolean {
    if (!this.#open() || this.#queue.length >= QUEUED) return false;
    this.#queue.push(JSON.parse(JSON.stringify(message)));
    this.#go();
    return true;
  }

  #go(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#kernel.after(HOP_NS, this.#to.process, () => void this.#work());
  }

  async #work(): Promise<void> {
    while (this.#queue.length > 0) {
      const message = this.#to.parse(this.#queue.shift());
      if (message === undefined) throw new Error('a message that the other side does not know');
      if (this.#open()) await this.#to.onMessage(message);
    }
    this.#busy = false;
  }
}

/** The Unix socket between link and receiver: it breaks when either ends, and link connects anew. What was under way is lost. */
export class Wire<ToServer, ToClient> {
  readonly #kernel: Kernel;
  #server: ServerEnd<ToServer, ToClient> | undefined;
  #client: ClientEnd<ToClient, ToServer> | undefined;
  /** To whom link is connected. */
  #joined: ServerEnd<ToServer, ToClient> | undefined;
  #up: Lane<ToServer> | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  listen(server: ServerEnd<ToServer, ToClient>): void {
    this.#server = server;
  }

  /** Gives what sends; what is said before the connection is dropped here, and named again once it is there. */
  connect(client: ClientEnd<ToClient, ToServer>): (message: ToServer) => boolean {
    this.#client = client;
    this.#up = undefined;
    this.#try(client);
    return (message) => this.#client === client && (this.#up?.send(message) ?? false);
  }

  #try(client: ClientEnd<ToClient, ToServer>): void {
    this.#kernel.after(AGAIN_NS, client.process, () => {
      const server = this.#server;
      if (this.#client !== client) return;
      if (server !== this.#joined || server?.process.alive !== true) this.#up = undefined;
      if (server?.process.alive === true && this.#up === undefined) this.#join(server, client);
      this.#try(client);
    });
  }

  #join(server: ServerEnd<ToServer, ToClient>, client: ClientEnd<ToClient, ToServer>): void {
    const open = (): boolean =>
      server.process.alive && client.process.alive && this.#server === server && this.#client === client;
    const up = new Lane(this.#kernel, server, open);
    const down = new Lane(this.#kernel, client, open);
    this.#kernel.after(0, server.process, () => server.onConnect((message) => down.send(message)));
    this.#joined = server;
    this.#up = up;
    up.send(client.hello());
    client.onConnect();
  }
}
