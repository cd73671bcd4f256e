import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openHarbor, replicate } from '@sluice/registry';
import type { Exchange } from './index.ts';
import { Layout, skopeoDigest, type Made } from './images.ts';
import { missing } from './needs.ts';
import { faultsOf } from './schema.ts';
import { PULLER, PUSHER, startSite, type Site } from './site.ts';

const absent = missing('docker-registry', 'umoci', 'busybox', 'skopeo');
if (absent !== undefined) console.log(`Harbor stand-in: skipped, ${absent} is not installed`);

const run = promisify(execFile);
const as = ({ username, password }: { username: string; password: string }): string => `${username}:${password}`;

let dir: string;
let a: Site;
let b: Site;
let layout: Layout;
let image: Made;

/** A plain call on /api, answered status and all. */
async function call(method: string, path: string, body?: unknown, account = PUSHER): Promise<Response> {
  const authorization = `Basic ${Buffer.from(as(account)).toString('base64')}`;
  const headers = { authorization, 'content-type': 'application/json' };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  return fetch(`${a.harbor.url}/api/v2.0${path}`, { method, headers, ...sent });
}

const apiFaults = (exchanges: readonly Exchange[]): string[] =>
  exchanges.filter(({ path }) => path.startsWith('/api/v2.0/')).flatMap(faultsOf);

describe.skipIf(absent !== undefined)('Harbor stand-in', () => {
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'sluice-harbor-'));
    a = await startSite(dir, 'a');
    b = await startSite(dir, 'b');
    layout = await Layout.create(join(dir, 'layout'));
    image = await layout.image('one', 'one');
    a.harbor.state.addProject('library', { public: 'true' });
    a.harbor.state.addProject('secret', { public: 'false' });
    for (const project of ['library', 'secret']) {
      const destination = `docker://${a.harbor.host}/${project}/busybox:v1`;
      const creds = ['--dest-tls-verify=false', '--dest-creds', as(PUSHER)];
      await run('skopeo', ['copy', '--insecure-policy', ...creds, `oci:${layout.dir}:one`, destination]);
    }
  }, 60_000);

  afterAll(async () => {
    await a.stop();
    await b.stop();
    rmSync(dir, { recursive: true });
  });

  it('gives skopeo what skopeo gave, with a password, a pull robot or nothing as the project allows', async () => {
    expect(await skopeoDigest(a.harbor.host, 'library/busybox:v1')).toBe(image.digest);
    expect(await skopeoDigest(a.harbor.host, 'secret/busybox:v1', as(PULLER))).toBe(image.digest);
    expect(await skopeoDigest(a.harbor.host, `secret/busybox@${image.digest}`, as(PUSHER))).toBe(image.digest);
    const inspect = (...words: string[]): Promise<unknown> =>
      run('skopeo', ['inspect', '--tls-verify=false', ...words]);
    await expect(inspect(`docker://${a.harbor.host}/secret/busybox:v1`)).rejects.toThrow(/unauthorized/);
    await expect(inspect('--creds', 'x:y', `docker://${a.harbor.host}/secret/busybox:v1`)).rejects.toThrow(
      /unauthorized/,
    );
  });

  it('answers as the published description says, good and bad', async () => {
    const from = a.harbor.exchanges.length;
    const artifact = '/projects/library/repositories/busybox/artifacts/v1';
    const statuses: [number, string, string, unknown?, typeof PUSHER?][] = [
      [200, 'GET', '/ping'],
      [200, 'GET', '/health'],
      [200, 'GET', '/systeminfo'],
      [200, 'GET', '/systeminfo', undefined, { username: 'x', password: 'y' }],
      [200, 'HEAD', '/projects?project_name=library'],
      [404, 'HEAD', '/projects?project_name=none'],
      [400, 'HEAD', '/projects'],
      [201, 'POST', '/projects', { project_name: 'made', metadata: { public: 'false' } }],
      [409, 'POST', '/projects', { project_name: 'made', metadata: { public: 'false' } }],
      [400, 'POST', '/projects', { project_name: 'Not A Name' }],
      [403, 'POST', '/projects', { project_name: 'other' }, PULLER],
      [200, 'GET', `${artifact}?with_tag=true&with_accessory=true&with_immutable_status=true`],
      [404, 'GET', '/projects/library/repositories/busybox/artifacts/v2'],
      [404, 'GET', '/projects/none/repositories/busybox/artifacts/v2'],
      [201, 'POST', `${artifact}/tags`, { name: 'v2' }],
      [409, 'POST', `${artifact}/tags`, { name: 'v2' }],
      [400, 'POST', `${artifact}/tags`, { name: '/' }],
      [202, 'POST', `${artifact}/scan`, { scan_type: 'vulnerability' }],
      [201, 'POST', '/system/scanAll/schedule', { schedule: { type: 'Manual' } }],
      [200, 'GET', '/scans/all/metrics'],
      [200, 'GET', '/replication/policies?q=name%3Dnone&page=1&page_size=100'],
      [404, 'GET', '/replication/executions/999'],
      [401, 'GET', '/replication/policies', undefined, { username: 'x', password: 'y' }],
    ];
    const got: number[] = [];
    for (const [, method, path, body, account] of statuses) got.push((await call(method, path, body, account)).status);
    expect(got).toEqual(statuses.map(([status]) => status));
    const made = a.harbor.exchanges.slice(from);
    expect(made).toHaveLength(statuses.length);
    expect(apiFaults(made)).toEqual([]);
  });

  it('takes a slash in a repository only when it is encoded twice', async () => {
    const creds = ['--dest-tls-verify=false', '--dest-creds', as(PUSHER)];
    const destination = `docker://${a.harbor.host}/library/deep/er:v1`;
    await run('skopeo', ['copy', '--insecure-policy', ...creds, `oci:${layout.dir}:one`, destination]);
    expect((await call('GET', '/projects/library/repositories/deep%252Fer/artifacts/v1')).status).toBe(200);
    expect((await call('GET', '/projects/library/repositories/deep/er/artifacts/v1')).status).toBe(404);
  });

  it('answers 401 with an empty challenge for a project that is not there', async () => {
    const headers = { authorization: `Basic ${Buffer.from(as(PUSHER)).toString('base64')}` };
    const response = await fetch(`${a.harbor.url}/v2/none/x/manifests/v1`, { headers });
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, '']);
    const anonymous = await fetch(`${a.harbor.url}/v2/none/x/manifests/v1`);
    expect(anonymous.headers.get('www-authenticate')).toMatch(/^Bearer realm="http:.*scope="repository:none\/x:pull"$/);
  });

  it('refuses who brings a cookie, hides what a 500 was about, and echoes the request id', async () => {
    const body = JSON.stringify({ project_name: 'cookie' });
    const cookie = await fetch(`${a.harbor.url}/api/v2.0/projects`, {
      method: 'POST',
      headers: { cookie: 'sid=1' },
      body,
    });
    expect(cookie.status).toBe(403);
    a.harbor.fail({ match: /systeminfo/, status: 500, message: 'the database is gone' });
    const failed = await fetch(`${a.harbor.url}/api/v2.0/systeminfo`, { headers: { 'x-request-id': 'mine' } });
    expect(failed.headers.get('x-request-id')).toBe('mine');
    expect(await failed.json()).toEqual({ errors: [{ code: 'UNKNOWN', message: 'internal server error' }] });
  });

  it('replicates repositories to another site, as the description says', async () => {
    const from = a.harbor.exchanges.length;
    const filters = [{ type: 'name' as const, value: 'secret/**' }];
    a.harbor.addPolicy({ name: 'to-b', filters, destination: { name: 'b', url: b.harbor.url, ...PUSHER } });
    const harbor = openHarbor({ url: a.harbor.url, credentials: PUSHER });
    const execution = await replicate(harbor, 'to-b', { pollMs: 5 });
    expect(await harbor.replicationTasks(execution.id)).toEqual([
      { status: 'Succeed', source: 'secret/busybox', destination: 'secret/busybox' },
    ]);
    harbor.close();
    expect(await skopeoDigest(b.harbor.host, 'secret/busybox:v1', as(PULLER))).toBe(image.digest);
    expect(apiFaults([...a.harbor.exchanges.slice(from), ...b.harbor.exchanges])).toEqual([]);
  });

  it('runs as a process and goes on where it was', async () => {
    const config = join(dir, 'process.json');
    const credentials = [PUSHER];
    const common = { dir: join(dir, 'process'), name: 'p', registry: b.harbor.url, credentials };
    writeFileSync(config, JSON.stringify({ ...common, projects: [{ name: 'demo' }] }));
    const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), '--config', config], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    const { url } = JSON.parse(line) as { url: string };
    const harbor = openHarbor({ url, credentials: PUSHER });
    expect(await harbor.projectExists('demo')).toBe(true);
    harbor.close();
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});

describe('the check against the description', () => {
  const base = { requestId: 'x', authorization: 'basic' as const, cookie: false, request: undefined };
  it('notices a misspelt property, a wrong status, an unknown query and an unknown path', () => {
    const get = { ...base, method: 'GET', status: 200 };
    expect(faultsOf({ ...get, path: '/api/v2.0/systeminfo', answer: { readonly: true } })).toHaveLength(1);
    expect(faultsOf({ ...get, path: '/api/v2.0/systeminfo', answer: { read_only: 'no' } })).toHaveLength(1);
    expect(faultsOf({ ...get, path: '/api/v2.0/systeminfo', status: 418, answer: {} })).toHaveLength(1);
    expect(faultsOf({ ...get, path: '/api/v2.0/systeminfo?x=1', answer: {} })).toHaveLength(1);
    expect(faultsOf({ ...get, path: '/api/v2.0/nothing', answer: {} })).toHaveLength(1);
  });
});
