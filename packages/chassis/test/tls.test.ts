import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { object, parseConfig, secretFile } from '@sluice/base';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpConfig, httpFault } from '../src/index.ts';
import { serve } from './ask.ts';

let dir = '';
const file = (name: string): string => join(dir, name);
const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'pipe', cwd: dir });

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  for (const ca of ['ca', 'other']) {
    openssl('req', '-x509', ...key, '-keyout', `${ca}.key`, '-out', `${ca}.pem`, '-subj', `/CN=${ca}`, '-days', '2');
  }
  writeFileSync(file('ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:sluice.example\n');
  const pairs = [
    ['server', 'ca'],
    ['client', 'ca'],
    ['stranger', 'other'],
  ] as const;
  for (const [name, ca] of pairs) {
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const by = ['-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-out', `${name}.pem`, '-days', '2', '-extfile', 'ext');
  }
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

async function status(port: number, client: string | undefined, host = 'localhost'): Promise<number | undefined> {
  const shown =
    client === undefined ? {} : { cert: readFileSync(file(`${client}.pem`)), key: readFileSync(file(`${client}.key`)) };
  const options = {
    host: '127.0.0.1',
    port,
    path: '/livez',
    headers: { host },
    agent: false,
    servername: 'localhost',
    ca: readFileSync(file('ca.pem')),
  };
  const sent = request({ ...options, ...shown }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

const schema = object('test', { keyFile: secretFile('key') });
const tls = () => ({
  certFile: file('server.pem'),
  keyFile: parseConfig(JSON.stringify({ keyFile: file('server.key') }), schema, { file: file('x.json') }).keyFile,
  clientCaFile: file('ca.pem'),
});

describe('the port with TLS', () => {
  it('answers who shows a certificate of its authority, and nobody else', async () => {
    const { port, origin } = await serve({ tls: tls(), names: ['Sluice.example'] });
    expect(origin).toMatch(/^https:/);
    expect(await status(port, 'client')).toBe(200);
    expect(await status(port, 'client', `sluice.example:${port}`)).toBe(200);
    expect(await status(port, 'client', 'evil.example')).toBe(421);
    await expect(status(port, 'stranger')).rejects.toThrow();
    await expect(status(port, undefined)).rejects.toThrow();
  });

  it('is the only one there is beyond loopback', async () => {
    await expect(serve({ host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'http-listen',
      message: expect.stringContaining('clients must show a certificate') as string,
    });
    await expect(serve({ tls: { ...tls(), certFile: file('absent') } })).rejects.toMatchObject({ code: 'http-listen' });
  });
});

const INTERFACES = { eth0: [{ address: '192.0.2.1' }], eth1: [{ address: '192.0.2.9' }, { address: '2001:db8::9' }] };
const TLS = {};
const there = () => INTERFACES;
const forbidden = (): never => {
  throw new Error('Address family not supported');
};

describe('the configuration of the port', () => {
  it.each([
    [{ host: '127.0.0.1' }],
    [{ host: '127.9.9.9' }],
    [{ host: 'localhost' }],
    [{ host: '::1' }],
    [{ host: '192.0.2.1', tls: TLS, linkInterface: 'eth1' }],
  ])('takes %j', (http) => {
    expect(httpFault(http, there)).toBeUndefined();
  });

  it('looks at no interface on loopback, where the sandbox forbids it, and refuses beyond when it cannot', () => {
    for (const host of ['127.0.0.1', '::1', 'localhost']) expect(httpFault({ host }, forbidden)).toBeUndefined();
    const beyond = { host: '192.0.2.1', tls: TLS, linkInterface: 'eth1' };
    expect(httpFault(beyond, forbidden)).toContain('allow the unit AF_NETLINK');
  });

  it.each([
    [{ host: '0.0.0.0', tls: TLS, linkInterface: 'eth1' }, 'every interface'],
    [{ host: '::', tls: TLS, linkInterface: 'eth1' }, 'every interface'],
    [{ host: '0:0:0:0:0:0:0:0', tls: TLS, linkInterface: 'eth1' }, 'every interface'],
    [{ host: '::ffff:0.0.0.0', tls: TLS, linkInterface: 'eth1' }, 'every interface'],
    [{ host: 'staging.example', tls: TLS, linkInterface: 'eth1' }, 'address of an interface'],
    [{ host: '127.0.0.1.example' }, 'address of an interface'],
    [{ host: '192.0.2.1' }, 'without "tls"'],
    [{ host: '192.0.2.1', tls: TLS }, 'without "linkInterface"'],
    [{ host: '192.0.2.1', tls: TLS, linkInterface: 'eth7' }, 'no such interface'],
    [{ host: '192.0.2.1', tls: TLS, linkInterface: 'constructor' }, 'no such interface'],
    [{ host: '192.0.2.9', tls: TLS, linkInterface: 'eth1' }, "on the link's interface eth1"],
    [{ host: '2001:db8::9', tls: TLS, linkInterface: 'eth1' }, "on the link's interface eth1"],
  ])('refuses %j', (http, why) => {
    expect(httpFault(http, there)).toContain(why);
  });

  it('is checked with the file', () => {
    const parse = (host: string) =>
      parseConfig(JSON.stringify({ http: { host } }), object('test', { http: httpConfig(9180) }), {
        file: file('x.json'),
      });
    expect(parse('::1').http).toMatchObject({ host: '::1', port: 9180, names: [] });
    expect(() => parse('10.0.0.1')).toThrow(/http has the host "10\.0\.0\.1" without "tls"/);
  });
});
