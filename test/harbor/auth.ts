import { randomUUID } from 'node:crypto';
import { answer, refuse, type Answering } from './exchange.ts';
import type { Account, State } from './state.ts';

const TOKEN_SECONDS = 1800;

/** Who asks: an account, a token limited to scopes, nobody, or someone with a wrong password. */
export type Caller =
  | { readonly kind: 'account'; readonly account: Account }
  | { readonly kind: 'token'; readonly scopes: ReadonlySet<string> }
  | { readonly kind: 'nobody' }
  | { readonly kind: 'wrong' };

export class Doorkeeper {
  readonly #accounts: readonly Account[];
  readonly #state: State;
  readonly #tokens = new Map<string, { readonly scopes: ReadonlySet<string>; readonly until: number }>();
  /** Basic is refused on /v2 when set, as a registry that only takes tokens does. */
  tokensOnly = false;

  constructor(accounts: readonly Account[], state: State) {
    this.#accounts = accounts;
    this.#state = state;
  }

  caller(authorization: string | undefined): Caller {
    if (authorization === undefined) return { kind: 'nobody' };
    const [scheme = '', value = ''] = authorization.split(' ');
    if (scheme.toLowerCase() === 'bearer') {
      const token = this.#tokens.get(value);
      return token !== undefined && token.until > Date.now()
        ? { kind: 'token', scopes: token.scopes }
        : { kind: 'wrong' };
    }
    const [username, ...rest] = Buffer.from(value, 'base64').toString().split(':');
    const account = this.#accounts.find((known) => known.username === username && known.password === rest.join(':'));
    return account === undefined ? { kind: 'wrong' } : { kind: 'account', account };
  }

  /** Tokens given out so far are worth nothing from now on. */
  forgetTokens(): void {
    this.#tokens.clear();
  }

  /** GET /service/token: what of the asked scopes the account may have; nobody may pull from public projects. */
  token(on: Answering): void {
    const caller = this.caller(on.request.headers.authorization);
    if (caller.kind === 'wrong' || caller.kind === 'token') return refuse(on, 401, 'UNAUTHORIZED', 'unauthorized');
    const scopes = new Set<string>();
    for (const scope of on.query.getAll('scope').flatMap((text) => text.split(' '))) {
      const [type, repository = '', actions = ''] = scope.split(':');
      if (type !== 'repository') continue;
      for (const action of actions.split(',')) {
        if (this.#may(caller, repository, action)) scopes.add(`${repository}:${action}`);
      }
    }
    const token = randomUUID();
    this.#tokens.set(token, { scopes, until: Date.now() + TOKEN_SECONDS * 1000 });
    answer(on, 200, { token, access_token: '', expires_in: TOKEN_SECONDS, issued_at: new Date().toISOString() });
  }

  #may(caller: Caller, repository: string, action: string): boolean {
    const project = this.#state.project(repository);
    if (project === undefined) return false;
    if (caller.kind === 'token') return caller.scopes.has(`${repository}:${action}`);
    if (caller.kind === 'account') return action === 'pull' || caller.account.pullOnly !== true;
    return caller.kind === 'nobody' && action === 'pull' && project.metadata.public === 'true';
  }

  /** Harbor's check before /v2: true when the request may go on, else it has been answered. */
  admitsRegistry(on: Answering, repository: string | undefined): boolean {
    const authorization = on.request.headers.authorization;
    const basicRefused = this.tokensOnly && authorization?.toLowerCase().startsWith('basic') === true;
    const caller = basicRefused ? { kind: 'nobody' as const } : this.caller(authorization);
    const reading = on.method === 'GET' || on.method === 'HEAD';
    const challenged = (): false => {
      const bearer = authorization === undefined || basicRefused;
      refuse(on, 401, 'UNAUTHORIZED', 'unauthorized to access repository', {
        'www-authenticate': bearer ? this.#challenge(on, repository, reading) : 'Basic realm="harbor"',
      });
      return false;
    };
    if (repository === undefined) return caller.kind === 'account' || caller.kind === 'token' ? true : challenged();
    if ((authorization === undefined || basicRefused) && reading) return challenged();
    const project = repository.split('/')[0] ?? '';
    if (this.#state.project(repository) === undefined) {
      refuse(on, 401, 'UNAUTHORIZED', `project ${project} not found`, { 'www-authenticate': '' });
      return false;
    }
    return this.#may(caller, repository, reading ? 'pull' : 'push') ? true : challenged();
  }

  #challenge(on: Answering, repository: string | undefined, reading: boolean): string {
    const scope = repository === undefined ? '' : `,scope="repository:${repository}:${reading ? 'pull' : 'pull,push'}"`;
    return `Bearer realm="http://${on.request.headers.host ?? ''}/service/token",service="harbor-registry"${scope}`;
  }

  /** The check before /api: an account, with the right to write where it writes. */
  admitsApi(on: Answering): boolean {
    const caller = this.caller(on.request.headers.authorization);
    if (caller.kind !== 'account') {
      refuse(on, 401, 'UNAUTHORIZED', 'unauthorized');
      return false;
    }
    if (on.method === 'GET' || on.method === 'HEAD' || caller.account.pullOnly !== true) return true;
    refuse(on, 403, 'FORBIDDEN', 'forbidden');
    return false;
  }
}
