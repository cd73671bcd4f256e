import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { readTsi } from '@sluice/alc';
import { parseEnvelope, parseTransport, type TransportStatement } from '@sluice/bundle';
import type { Digest } from '@sluice/ports';
import { DEFAULT_LIMITS, ReceiveMachine } from '@sluice/transfer';
import { makeLinkKey, sha256 } from '@sluice/trust';
import { createCodec } from '@sluice/fec';
import { onTestFinished } from 'vitest';
import { MemorySpool } from '../../testkit/src/index.ts';
import { Program, until } from '../../../test/world/processes.ts';
import { MAIN, NODE } from '../../../test/world/world.ts';
import { digestOf, keys, scratch } from './inputs.ts';

const LINK_KEY = '11'.repeat(32);
const STATEMENT = 'application/vnd.dsse.envelope.v1+json';
const CHANNELS = ['prod', 'lab'];

/** What comes out of the fibre: the objects of all passes, and the sessions in which they came. */
export class Fibre {
  readonly sessions: number[] = [];
  readonly #socket: Socket;
  readonly #spool = new MemorySpool();
  readonly #machine: ReceiveMachine;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const algorithm = 'HMAC-SHA-256-128';
    const parts = {
      keys: CHANNELS.map((channel, asid) =>
        makeLinkKey({ asid, channel, algorithm, key: Buffer.from(LINK_KEY, 'hex') }),
      ),
      codec: createCodec(),
      sha256,
      spool: this.#spool,
      onEvent: () => undefined,
    };
    this.#machine = new ReceiveMachine(parts, DEFAULT_LIMITS, 0);
    socket.on('message', (datagram: Buffer) => {
      const tsi = readTsi(datagram, 0);
      if (this.sessions.at(-1) !== tsi) this.sessions.push(tsi);
      this.#machine.receive(datagram, 0, datagram.length, performance.now() * 1e6);
    });
  }

  static async open(): Promise<Fibre> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 16 * 2 ** 20 }).bind(0, '127.0.0.1');
    await once(socket, 'listening');
    onTestFinished(() => {
      socket.close();
    });
    return new Fibre(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** Objects that are whole and what their digest says. */
  whole(): Map<Digest, Uint8Array> {
    const all = [...this.#spool.objects.values()].filter(({ info, bytes }) => digestOf(bytes) === info.digest);
    return new Map(all.map(({ info, bytes }) => [info.digest, bytes]));
  }

  /** Transport statements that came, by sequence number; two under one number are a fault. */
  statements(channel = 'prod'): Map<number, TransportStatement & { readonly id: Digest }> {
    const found = new Map<number, TransportStatement & { readonly id: Digest }>();
    for (const { info, bytes } of this.#spool.objects.values()) {
      if (info.contentType !== STATEMENT || info.channel !== channel || digestOf(bytes) !== info.digest) continue;
      const envelope = parseEnvelope(bytes);
      const statement = envelope.ok ? parseTransport(envelope.value.payload) : envelope;
      if (!statement.ok) continue;
      const { sequence } = statement.value;
      if (found.has(sequence)) throw new Error(`sequence ${sequence} was given twice`);
      found.set(sequence, { ...statement.value, id: info.digest });
    }
    return found;
  }
}

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** The real sender in a process of its own, everything below one directory. */
export class Sender {
  readonly dir = scratch();
  readonly fibre: Fibre;
  #program: Program | undefined;

  private constructor(fibre: Fibre, config: Record<string, unknown>, channels: readonly string[]) {
    this.fibre = fibre;
    const path = (name: string): string => join(this.dir, name);
    for (const name of ['keys', 'sockets', ...channels.map((each) => `inbox-${each}`)]) mkdirSync(path(name));
    writeFileSync(path('keys/link'), LINK_KEY, { mode: 0o600 });
    writeFileSync(path('keys/transport'), keys.transport.privatePem, { mode: 0o600 });
    const file = {
      stateDirectory: path('state'),
      refusedDirectory: path('refused'),
      controlSocket: path('sockets/control'),
      http: { port: 0 },
      link: { host: '127.0.0.1', port: fibre.port, io: 'portable', rate: '80Mbit/s', statementLead: '20ms' },
      channels: channels.map((name, asid) => ({
        name,
        asid,
        linkKeyFile: path('keys/link'),
        transportKeyFile: path('keys/transport'),
        inbox: path(`inbox-${name}`),
      })),
      ...config,
    };
    writeFileSync(path('sender.json'), JSON.stringify(file));
    onTestFinished(() => this.stop('SIGKILL'));
  }

  /** Starts it, with changes to its configuration. */
  static async start(config: Record<string, unknown> = {}, channels: readonly string[] = CHANNELS): Promise<Sender> {
    const sender = new Sender(await Fibre.open(), config, channels);
    await sender.run();
    return sender;
  }

  async run(): Promise<void> {
    const log = join(this.dir, 'log');
    const before = existsSync(log) ? readFileSync(log, 'utf8').length : 0;
    const program = new Program('sender', [NODE, MAIN, 'sender', '--config', join(this.dir, 'sender.json')], log);
    this.#program = program;
    await until('the sender to be ready', 30_000, () => {
      if (program.ended) throw new Error(program.output().slice(before));
      return program.output().slice(before).includes('"msg":"sender ready"') || undefined;
    });
  }

  get program(): Program {
    if (this.#program === undefined) throw new Error('the sender does not run');
    return this.#program;
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    await this.#program?.stop(signal);
  }

  get log(): string {
    return this.program.output();
  }

  /** A request to the control socket; its body is written in pieces by `write`. */
  async post(path: string, write: (to: NodeJS.WritableStream) => void | Promise<void>): Promise<Answer> {
    const sending = request({
      socketPath: join(this.dir, 'sockets/control'),
      path,
      method: 'POST',
      headers: { 'content-type': 'application/x-tar', host: 'localhost' },
    });
    // What counts is the answer; that the rest was not wanted shows as an error of the socket.
    sending.on('error', () => undefined);
    const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
    await write(sending);
    const [response] = await answered;
    const body = (await Array.fromAsync(response)).join('');
    return { status: response.statusCode ?? 0, body: JSON.parse(body) as Record<string, unknown> };
  }

  /** What lies in refused/, by name: the code and the names beside the reason. */
  refused(channel = 'prod'): Record<string, string> {
    const place = join(this.dir, 'refused', channel);
    if (!existsSync(place)) return {};
    const reason = (name: string): { code: string } =>
      JSON.parse(readFileSync(join(place, name, 'reason.json'), 'utf8')) as { code: string };
    return Object.fromEntries(readdirSync(place).map((name) => [name, reason(name).code]));
  }

  /** Names of the inputs in the work area. */
  working(channel = 'prod'): string[] {
    return readdirSync(join(this.dir, `.work-${channel}`));
  }
}
