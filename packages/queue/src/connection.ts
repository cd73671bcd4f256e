import { Redis } from 'ioredis';

export interface RedisOptions {
  /** `redis://host:port/db`, `rediss://…` for TLS, or the path of a Unix socket. A password in it is taken too, but a file is better. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  /** PEM of the certificate authority, for `rediss:`. */
  readonly ca?: string;
}

const CONNECT_TIMEOUT_MS = 5000;
const FIRST_RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 5000;

/** A connection that never gives up: it reconnects for ever, and what was asked waits. Errors are told to `onError`, never thrown. */
export function connect(options: RedisOptions, onError: (error: Error) => void): Redis {
  const { url, username, password, ca } = options;
  const client = new Redis(url, {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(ca === undefined ? {} : { tls: { ca } }),
    connectTimeout: CONNECT_TIMEOUT_MS,
    maxRetriesPerRequest: null,
    retryStrategy: (times) => Math.min(FIRST_RECONNECT_MS * 2 ** Math.min(times, 16), MAX_RECONNECT_MS),
  });
  client.on('error', onError);
  return client;
}

/** Address without user and password, for messages. */
export function addressOf(url: string): string {
  if (!URL.canParse(url)) return url;
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
