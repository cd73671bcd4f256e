import type { Duplex } from 'node:stream';
import type { Result } from '@sluice/ports';

/** Longest line in bytes, both ways, without its line feed. */
export const LINE_BYTES_MAX = 64 * 1024;
/** Bytes that may wait to be written before `send` refuses. */
export const LINE_QUEUE_BYTES_MAX = 4 * 1024 * 1024;

/** Why a peer's line was refused; its connection is closed then. */
export const LINE_FAULT_CODES = ['line-too-long', 'line-malformed', 'line-refused'] as const;
export type LineFaultCode = (typeof LINE_FAULT_CODES)[number];

export interface LineFault {
  readonly code: LineFaultCode;
  readonly detail: string;
}

export interface LineLimits {
  readonly lineBytesMax?: number;
  readonly queueBytesMax?: number;
}

export interface LineHandlers<In, Out> extends LineLimits {
  /** Makes a message of a line's JSON value; the refusal is a sentence. Never throws. */
  readonly parse: (value: unknown) => Result<In, string>;
  /** Runs to its end (awaited) before the next line is read, so a slow reader slows the writer and holds nothing. */
  readonly onMessage: (message: In, from: LinePeer<Out>) => void | Promise<void>;
  readonly onFault?: (fault: LineFault) => void;
}

/** The other end of one connection. */
export interface LinePeer<Out> {
  /**
   * Queues a message. False when it would not fit the queue or the connection is closed: it is not sent then, and
   * nothing queued is lost for it. Messages queued on a connection that breaks are lost: peers tell their state anew
   * on each connection. A message longer than the line limit is a mistake of the caller and throws.
   */
  send(message: Out): boolean;
  /** Bytes that wait to be written. */
  queuedBytes(): number;
  /** Writes what is queued, then closes. */
  close(): void;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
}

/** One message as a line with its line feed. Throws when it is longer than `max` bytes. */
export function encodeLine(message: unknown, max: number = LINE_BYTES_MAX): Buffer {
  const line = Buffer.from(`${JSON.stringify(message)}\n`);
  if (line.length - 1 > max) throw new Error(`message of ${String(line.length)} bytes is longer than the line limit`);
  return line;
}

/** Speaks newline-delimited JSON over a connected stream until it closes; `first` is written before all else, outside the queue's limit. */
export function attachLines<In, Out>(
  stream: Duplex,
  handlers: LineHandlers<In, Out>,
  first: readonly Out[] = [],
): LinePeer<Out> {
  const { lineBytesMax = LINE_BYTES_MAX, queueBytesMax = LINE_QUEUE_BYTES_MAX } = handlers;
  let open = true;
  // Gone peers (EPIPE, ECONNRESET) end in 'close', which is all that counts here.
  stream.on('error', () => {
    open = false;
  });
  const closed = new Promise<void>((resolve) => {
    stream.once('close', () => {
      open = false;
      resolve();
    });
  });
  const peer: LinePeer<Out> = {
    send: (message) => {
      const line = encodeLine(message, lineBytesMax);
      if (!open || stream.writableLength + line.length > queueBytesMax) return false;
      stream.write(line);
      return true;
    },
    queuedBytes: () => stream.writableLength,
    close: () => {
      open = false;
      stream.end();
      // The reader ends with the peer's own end; a peer that never ends is cut off once our last byte is out.
      stream.once('finish', () => stream.destroy());
    },
    closed,
  };
  for (const message of first) stream.write(encodeLine(message, lineBytesMax));
  // A throwing onMessage is our own mistake: the rejection is left to the process's crash handler.
  void receive(stream, peer, handlers, lineBytesMax);
  return peer;
}

async function receive<In, Out>(
  stream: Duplex,
  peer: LinePeer<Out>,
  handlers: LineHandlers<In, Out>,
  max: number,
): Promise<void> {
  const fail = (code: LineFaultCode, detail: string): void => {
    stream.destroy();
    handlers.onFault?.({ code, detail });
  };
  for await (const line of splitLines(stream, max)) {
    if (line === undefined) {
      fail('line-too-long', `a line is longer than ${String(max)} bytes`);
      return;
    }
    const value = parseJson(line);
    if (!value.ok) {
      fail('line-malformed', value.error);
      return;
    }
    const message = handlers.parse(value.value);
    if (!message.ok) {
      fail('line-refused', message.error);
      return;
    }
    await handlers.onMessage(message.value, peer);
  }
}

function parseJson(line: string): Result<unknown, string> {
  try {
    return { ok: true, value: JSON.parse(line) as unknown };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

const LF = 10;

/** The lines of a byte stream as text, or undefined (and the end) for one beyond `max` bytes. A broken stream just ends. */
async function* splitLines(stream: AsyncIterable<unknown>, max: number): AsyncGenerator<string | undefined, void> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  const chunks = stream[Symbol.asyncIterator]();
  for (;;) {
    const next = await chunks.next().catch(() => ({ done: true, value: undefined }));
    if (next.done === true || !Buffer.isBuffer(next.value)) return;
    let rest: Buffer = next.value;
    for (let end = rest.indexOf(LF); end >= 0; end = rest.indexOf(LF)) {
      if (heldBytes + end > max) yield undefined;
      yield Buffer.concat([...held, rest.subarray(0, end)]).toString('utf8');
      held = [];
      heldBytes = 0;
      rest = rest.subarray(end + 1);
    }
    heldBytes += rest.length;
    if (heldBytes > max) yield undefined;
    held.push(rest);
  }
}
