import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { hostile, terminalText } from '@sluice/ports';
import { either, fail, type Finding, ok, unknown, warn } from './finding.ts';

const ANSWER_MS = 3000;
const ANSWER_BYTES = 64 * 1024;
/** Longest text of another service that is shown. */
const SHOWN = 200;

const shown = (text: string): string => terminalText(hostile(text, SHOWN));
const reasonOf = (error: unknown): string => shown(error instanceof Error ? error.message : String(error));

/** Will the queue keep its jobs? None of it is needed to receive: what fails here only holds up imports. */
export async function redisFindings(url: string, password: string | undefined): Promise<Finding[]> {
  let values: ReadonlyMap<string, string>;
  try {
    values = await configOf(new URL(url), password);
  } catch (error) {
    return [
      warn(
        'redis:reachable',
        `${url}: ${reasonOf(error)}`,
        'imports wait until it is there; receiving does not',
        'systemctl status redis-server',
      ),
    ];
  }
  const policy = values.get('maxmemory-policy');
  const persistent = values.get('appendonly');
  const set = (name: string, value: string): string =>
    `redis-cli -u ${url} CONFIG SET ${name} ${value} && redis-cli -u ${url} CONFIG REWRITE`;
  return [
    ok('redis:reachable', `${url} answers`),
    either(policy === 'noeviction', ['redis:eviction', 'noeviction'], (check) =>
      warn(
        check,
        `maxmemory-policy is ${policy ?? 'not shown'}`,
        'jobs may be thrown away for want of memory; they are queued again, and again',
        set('maxmemory-policy', 'noeviction'),
      ),
    ),
    either(persistent === 'yes', ['redis:persistence', 'appendonly yes'], (check) =>
      warn(
        check,
        `appendonly is ${persistent ?? 'not shown'}`,
        'after a restart of Redis every waiting job is queued anew',
        set('appendonly', 'yes'),
      ),
    ),
  ];
}

/** The two settings, asked in Redis' own words (RESP 2). */
function configOf(url: URL, password: string | undefined): Promise<Map<string, string>> {
  const commands = [
    ...(password === undefined ? [] : [['AUTH', password]]),
    ['CONFIG', 'GET', 'maxmemory-policy'],
    ['CONFIG', 'GET', 'appendonly'],
    ['PING'],
  ];
  const words = commands.map(
    (words) =>
      `*${String(words.length)}\r\n${words.map((word) => `$${String(Buffer.byteLength(word))}\r\n${word}\r\n`).join('')}`,
  );
  const at = { host: url.hostname, port: url.port === '' ? 6379 : Number(url.port) };
  return new Promise((resolve, reject) => {
    const socket = url.protocol === 'rediss:' ? connectTls({ ...at, servername: url.hostname }) : connect(at);
    let answer = '';
    const end = (error?: Error): void => {
      socket.destroy();
      if (error !== undefined) return reject(error);
      const values = new Map<string, string>();
      for (const [, name = '', value = ''] of answer.matchAll(
        /\$\d+\r\n(maxmemory-policy|appendonly)\r\n\$\d+\r\n([\w-]+)/g,
      ))
        values.set(name, value);
      resolve(values);
    };
    socket.setTimeout(ANSWER_MS, () => end(new Error('it does not answer')));
    socket.once('error', end);
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      const refusal = /^-(.+)\r\n/m.exec(answer)?.[1];
      if (refusal !== undefined) end(new Error(refusal));
      else if (answer.includes('+PONG\r\n') || answer.length > ANSWER_BYTES) end();
    });
    socket.write(words.join(''));
  });
}

/** Harbor or a registry: does it answer, does it take the account, which version is it? */
export async function harborFindings(
  site: string,
  url: string,
  account: { readonly username: string; readonly password: string },
): Promise<Finding[]> {
  const check = `harbor:${site}`;
  const authorization = `Basic ${Buffer.from(`${account.username}:${account.password}`).toString('base64')}`;
  const look = `curl -su ACCOUNT ${url}/api/v2.0/systeminfo`;
  try {
    const answer = await fetch(`${url}/api/v2.0/systeminfo`, {
      headers: { authorization },
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (!answer.ok && answer.status !== 401)
      return [warn(check, `${url} answers ${String(answer.status)}`, 'imports wait until it is well', look)];
    // Harbor says which version it is to those whom it knows.
    const { harbor_version: version } = answer.ok ? ((await answer.json()) as { harbor_version?: unknown }) : {};
    return [
      typeof version === 'string'
        ? ok(check, `${url} answers, ${shown(version)}`)
        : fail(
            check,
            `${url} does not know ${account.username}`,
            'imports wait for a person; a robot account may have ended',
            look,
          ),
    ];
  } catch (error) {
    return [warn(check, `${url}: ${causeOf(error)}`, 'imports wait until it is there; receiving does not', look)];
  }
}

/** A robot account ends by itself: said this long before. */
const ROBOT_SOON_DAYS = 30;
const DAY_S = 86_400;

/** Until when Harbor takes the account, where it is a system robot and may look at robots. */
export async function robotFindings(
  site: string,
  url: string,
  { username, password }: { readonly username: string; readonly password: string },
  nowSeconds = Date.now() / 1000,
): Promise<Finding> {
  const check = `robot:${site}`;
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const hidden = `until when ${shown(username)} counts is not shown to it: give it "list" on robots, or note the day`;
  let robots: unknown;
  try {
    const words = { headers: { authorization }, signal: AbortSignal.timeout(ANSWER_MS) };
    const answer = await fetch(`${url}/api/v2.0/robots?page_size=100`, words);
    robots = answer.ok ? await answer.json() : undefined;
  } catch {
    robots = undefined;
  }
  const found = (Array.isArray(robots) ? (robots as unknown[]) : []).find(
    (each): each is Readonly<Record<string, unknown>> =>
      typeof each === 'object' && each !== null && (each as { name?: unknown }).name === username,
  );
  if (found === undefined) return unknown(check, hidden);
  const { expires_at: end, disable } = found;
  const why = 'from then on nothing is imported';
  const mend = `in Harbor: Administration, Robot Accounts, ${shown(username)}: refresh its secret, or make another; then the password file`;
  if (disable === true) return fail(check, `${shown(username)} is disabled`, 'nothing is imported', mend);
  if (end === -1) return ok(check, `${shown(username)} does not end`);
  if (typeof end !== 'number' || end <= 0) return unknown(check, hidden);
  const days = Math.floor((end - nowSeconds) / DAY_S);
  const day = new Date(end * 1000).toISOString().slice(0, 10);
  if (end <= nowSeconds) return fail(check, `${shown(username)} ended on ${day}`, 'nothing is imported', mend);
  return either(days >= ROBOT_SOON_DAYS, [check, `${shown(username)} counts until ${day}`], () =>
    warn(check, `${shown(username)} ends in ${String(days)} days, on ${day}`, why, mend),
  );
}

/** An S3 service: any answer to a stranger will do, but that there is no such bucket. */
export async function bucketFindings(what: string, endpoint: string, bucket: string): Promise<Finding> {
  const check = `s3:${what}`;
  const url = `${endpoint.replace(/\/$/, '')}/${bucket}`;
  try {
    const { status } = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(ANSWER_MS) });
    if (status === 404)
      return fail(
        check,
        `${endpoint} has no bucket ${bucket}`,
        'nothing can be read or stored',
        `aws --endpoint-url ${endpoint} s3 mb s3://${bucket}`,
      );
    return either(status < 500, [check, `${endpoint} answers`], () =>
      warn(check, `${endpoint} answers ${String(status)}`, 'what needs it waits', `curl -I ${url}`),
    );
  } catch (error) {
    return warn(check, `${endpoint}: ${causeOf(error)}`, 'what needs it waits until it is there', `curl -I ${url}`);
  }
}

/** fetch hides the reason one level down. */
const causeOf = (error: unknown): string =>
  reasonOf(error instanceof Error && error.cause instanceof Error ? error.cause : error);

/** The JSON of a daemon's own port; undefined when it does not answer. */
export async function statusOf<T>(port: number): Promise<T | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${String(port)}/v1/status`, {
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    return (await answer.json()) as T;
  } catch {
    return undefined;
  }
}
