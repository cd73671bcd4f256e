import { failure, isEmptyChallenge } from './classify.ts';
import { RegistryError } from './errors.ts';
import { isReplayable, openTransport, type Answer, type Ask, type Transport, type TransportOptions } from './http.ts';

export interface Credentials {
  /** Full name as the registry knows it (a Harbor robot's prefix included). */
  readonly username: string;
  readonly password: string;
}

export interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const CHALLENGE_LIMIT = 2048;

/** Parses the first challenge of a WWW-Authenticate header (RFC 9110 section 11.6.1); undefined when empty, malformed or too long. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  if (header === undefined || header.length > CHALLENGE_LIMIT) return undefined;
  const match = /^\s*([A-Za-z]+)(?:\s+(.*))?$/.exec(header);
  if (match?.[1] === undefined) return undefined;
  const parameters: Record<string, string> = {};
  for (const [, key, quoted, token] of (match[2] ?? '').matchAll(/([A-Za-z_]+)=(?:"([^"]*)"|([^\s,]+))/g)) {
    if (key !== undefined) parameters[key.toLowerCase()] ??= quoted ?? token ?? '';
  }
  return { scheme: match[1].toLowerCase(), parameters };
}

const basic = (credentials: Credentials): string =>
  `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;

/** A token is taken as good for this share of its announced life. */
const TOKEN_SHARE = 0.8;
const TOKEN_DEFAULT_SECONDS = 60;
const TOKEN_LIMIT = 64 * 1024;

export interface AuthorizedOptions extends TransportOptions {
  readonly credentials?: Credentials;
  /** Hosts (`name:port`) besides the registry's own to which credentials may be sent for a token. */
  readonly tokenHosts?: readonly string[];
}

/**
 * A transport that signs in: Basic from the first request on (Harbor takes it on /v2 and /api alike, and a long upload never
 * outlives it); a registry that answers with a Bearer challenge gets the token flow of the distribution-spec instead.
 */
export interface Authorized {
  readonly origin: string;
  /** `scope` as in `repository:NAME:pull,push`. */
  ask(ask: Ask, scope?: string): Promise<Answer>;
  close(): void;
}

class AuthorizedTransport implements Authorized {
  readonly origin: string;
  readonly #transport: Transport;
  readonly #options: AuthorizedOptions;
  readonly #tokens = new Map<string, { readonly header: string; readonly until: number }>();

  constructor(options: AuthorizedOptions) {
    this.#options = options;
    this.#transport = openTransport(options);
    this.origin = this.#transport.origin;
  }

  async ask(ask: Ask, scope = ''): Promise<Answer> {
    const known = this.#tokens.get(scope);
    const fresh = known !== undefined && known.until > performance.now() ? known.header : undefined;
    const answer = await this.#send(ask, fresh ?? this.#basic());
    if (answer.status === 401 && fresh !== undefined) {
      // The token is no longer taken: once more from the start, where the body can be sent again.
      this.#tokens.delete(scope);
      if (isReplayable(ask.body)) return this.ask(ask, scope);
      throw this.#expired(answer);
    }
    if (answer.status !== 401 || isEmptyChallenge(answer)) return answer;
    const challenge = parseChallenge(answer.headers['www-authenticate']);
    if (challenge?.scheme !== 'bearer') return answer;
    const token = await this.#token(challenge, scope);
    if (!isReplayable(ask.body)) throw this.#expired(answer);
    return this.#send(ask, token);
  }

  #expired(answer: Answer): RegistryError {
    const text = `the token for ${this.origin} ran out before an upload; the blob is sent again`;
    return new RegistryError('registry-token-expired', text, { status: 401, requestId: answer.requestId });
  }

  close(): void {
    this.#transport.close();
  }

  #basic(): string | undefined {
    return this.#options.credentials === undefined ? undefined : basic(this.#options.credentials);
  }

  #send(ask: Ask, authorization: string | undefined): Promise<Answer> {
    if (authorization === undefined) return this.#transport.ask(ask);
    return this.#transport.ask({ ...ask, headers: { ...ask.headers, authorization } });
  }

  async #token(challenge: Challenge, scope: string): Promise<string> {
    const realm = this.#realm(challenge.parameters.realm ?? '');
    for (const key of ['service', 'scope']) {
      const value = key === 'scope' && scope !== '' ? scope : challenge.parameters[key];
      if (value !== undefined) realm.searchParams.set(key, value);
    }
    const transport =
      realm.origin === this.origin ? this.#transport : openTransport({ ...this.#options, url: realm.origin });
    const authorization = this.#basic();
    const headers = authorization === undefined ? {} : { authorization };
    const path = `${realm.pathname}${realm.search}`;
    const answer = await transport.ask({ method: 'GET', path, headers, limit: TOKEN_LIMIT });
    if (transport !== this.#transport) transport.close();
    if (answer.status !== 200) throw failure(answer, `asking ${realm.host} for a token`);
    const { token, seconds } = parseToken(answer);
    const header = `Bearer ${token}`;
    this.#tokens.set(scope, { header, until: performance.now() + seconds * 1000 * TOKEN_SHARE });
    return header;
  }

  /** Credentials go to the registry's own host, or to hosts the operator named; a challenge cannot send them elsewhere. */
  #realm(text: string): URL {
    const realm = URL.canParse(text) ? new URL(text) : undefined;
    const own = new URL(this.origin);
    const allowed = [own.host, ...(this.#options.tokenHosts ?? [])];
    const downgrade = own.protocol === 'https:' && realm?.protocol !== 'https:';
    if (realm !== undefined && !downgrade && allowed.includes(realm.host)) return realm;
    const host = realm === undefined ? 'a malformed address' : realm.origin;
    const text2 = `${this.origin} wants its token fetched from ${host}, which is not allowed; name the host in tokenHosts if it is right`;
    throw new RegistryError('registry-token-realm', text2);
  }
}

function parseToken(answer: Answer): { readonly token: string; readonly seconds: number } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(answer.body.toString('utf8'));
  } catch (cause) {
    throw new RegistryError('registry-answer-malformed', 'the token answer is not JSON; check the token service', {
      cause,
    });
  }
  const { token, access_token: access, expires_in: seconds } = (parsed ?? {}) as Record<string, unknown>;
  const text = typeof token === 'string' ? token : access;
  if (typeof text !== 'string' || !/^[\x21-\x7e]+$/.test(text)) {
    throw new RegistryError('registry-answer-malformed', 'the token answer has no token; check the token service');
  }
  const life = typeof seconds === 'number' && seconds > 0 ? seconds : TOKEN_DEFAULT_SECONDS;
  return { token: text, seconds: life };
}

export const openAuthorized = (options: AuthorizedOptions): Authorized => new AuthorizedTransport(options);
