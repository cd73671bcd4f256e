import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../packages/base/src/index.ts';
import type { ConfigCode } from '../../packages/ports/src/index.ts';
import { makeKeyPair } from '../../packages/trust/src/index.ts';
import { daemonConfigs } from '../world/configs.ts';
import { MAIN, NODE } from '../world/world.ts';

const DAEMONS = ['sender', 'link', 'receiver', 'importer'] as const;
type Daemon = (typeof DAEMONS)[number];

let dir = '';
const key = (name: string): string => join(dir, 'keys', name);

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-config-'));
  mkdirSync(join(dir, 'keys'));
  for (const name of ['transport', 'release', 'receipt']) {
    const { privatePem, publicPem } = makeKeyPair('Ed25519');
    writeFileSync(key(`${name}.key.pem`), privatePem, { mode: 0o600 });
    writeFileSync(key(`${name}.pub.pem`), publicPem);
  }
  writeFileSync(key('link.key'), 'ab'.repeat(32), { mode: 0o600 });
  writeFileSync(key('short.key'), 'abcd', { mode: 0o600 });
  writeFileSync(key('open.key'), 'ab'.repeat(32), { mode: 0o644 });
  writeFileSync(key('harbor.password'), 'x', { mode: 0o600 });
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

/** A configuration that is good but for the keys named here. */
function config(daemon: Daemon, broken: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const ports = { link: 4433, redis: 1, senderHttp: 0, receiverHttp: 0, importerHttp: 0, harborA: 1, harborB: 1 };
  const made = daemonConfigs(dir, ports, { host: '127.0.0.1', port: 4433 })[daemon] as Record<string, unknown>;
  return { ...structuredClone(made), ...broken };
}

let files = 0;
function write(text: string): string {
  files += 1;
  const file = join(dir, `${String(files)}.json`);
  writeFileSync(file, text);
  return file;
}

/** Runs the command to its end. */
async function sluice(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(NODE, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, ...said };
}

/** What a daemon that refuses its configuration does: one sentence on standard error, nothing else, and the status for it. */
const refused = (sentence: string, code: ConfigCode) => ({
  status: EXIT.config,
  stdout: '',
  stderr: `sluice: ${sentence} (${code})\n`,
});

/** A policy of the channel, with one thing in it changed. */
const policy = (broken: Readonly<Record<string, unknown>>): unknown => [
  { ...(config('receiver').channels as Record<string, unknown>[])[0], ...broken },
];
const channel = (broken: Readonly<Record<string, unknown>>): unknown => [
  { ...(config('sender').channels as Record<string, unknown>[])[0], ...broken },
];
const linkKey = (broken: Readonly<Record<string, unknown>>): unknown => [
  { ...(config('link').keys as Record<string, unknown>[])[0], ...broken },
];

describe.concurrent.for(DAEMONS)('sluice %s --config FILE', (daemon) => {
  it('takes the configuration that the tests break', async () => {
    const file = write(JSON.stringify(config(daemon)));
    expect(await sluice('config', 'check', daemon, file)).toEqual({ status: 0, stdout: `${file}: good\n`, stderr: '' });
  });

  it('names a key that it does not know, and the one that was meant', async () => {
    const file = write(JSON.stringify(config(daemon, { statedirectory: '/x' })));
    expect(await sluice(daemon, '--config', file)).toEqual(
      refused(`${file}: statedirectory is not a known key; did you mean "stateDirectory"?`, 'config-invalid'),
    );
  });

  it('names a value of the wrong type', async () => {
    const file = write(JSON.stringify(config(daemon, { stateDirectory: 7 })));
    expect(await sluice(daemon, '--config', file)).toEqual(
      refused(`${file}: stateDirectory must be a path but is 7; write it in double quotes.`, 'config-invalid'),
    );
  });

  it('names a key that is missing', async () => {
    const file = write(JSON.stringify(config(daemon, { stateDirectory: undefined })));
    expect(await sluice(daemon, '--config', file)).toEqual(
      refused(`${file}: stateDirectory is missing; add it (path).`, 'config-invalid'),
    );
  });

  it('names a key that is there twice', async () => {
    const file = write(JSON.stringify(config(daemon)).replace('{', '{"stateDirectory":"/x",'));
    expect(await sluice(daemon, '--config', file)).toEqual(
      refused(`${file}: stateDirectory is there twice; remove one of the two.`, 'config-malformed'),
    );
  });

  it('names a file that is not there', async () => {
    const file = join(dir, 'nowhere.json');
    expect(await sluice(daemon, '--config', file)).toEqual(
      refused(
        `${file}: there is no such file; create it (deploy/ has examples) or name another with --config.`,
        'config-unreadable',
      ),
    );
  });

  it('names a file that is no JSON', async () => {
    const file = write('{"stateDirectory": }');
    const { status, stderr } = await sluice(daemon, '--config', file);
    expect([status, stderr.split('\n').length]).toEqual([EXIT.config, 2]);
    expect(stderr).toMatch(`sluice: ${file}: this is not JSON: `);
    expect(stderr).toMatch(/; mend that place\. \(config-malformed\)\n$/);
  });

  it('says how it is called when the file is not named', async () => {
    expect(await sluice(daemon)).toEqual({ status: EXIT.usage, stdout: '', stderr: 'sluice: --config is missing\n' });
  });
});

const IN_A_CHANNEL: readonly (readonly [what: string, daemon: Daemon, broken: () => object, sentence: () => string])[] =
  [
    [
      'a secret that is not there',
      'sender',
      () => ({ channels: channel({ linkKeyFile: key('gone') }) }),
      () =>
        `channels[0].linkKeyFile names the secret file ${key('gone')}, which cannot be read (ENOENT); create it or mend its owner.`,
    ],
    [
      'a secret that every user may read',
      'link',
      () => ({ keys: linkKey({ keyFile: key('open.key') }) }),
      () =>
        `keys[0].keyFile names ${key('open.key')}, which every user may open (mode 0644); run: chmod o= ${key('open.key')}`,
    ],
    [
      'a link key that is none',
      'link',
      () => ({ keys: linkKey({ keyFile: key('short.key') }) }),
      () =>
        `keys[0].keyFile names ${key('short.key')}: a link key must be 64 hexadecimal digits; make one with "sluice keys link".`,
    ],
    [
      'a signing key that is none',
      'importer',
      () => ({ receiptKeyFile: key('link.key') }),
      () =>
        `receiptKeyFile names ${key('link.key')}: this is no private key; Ed25519, ECDSA P-256 and P-384 keys in PEM are taken.`,
    ],
    [
      'a public key that is not there',
      'receiver',
      () => ({ importerKeyFiles: [key('gone.pem')] }),
      () =>
        `importerKeyFiles[0] is wrong: the public key file ${key('gone.pem')} cannot be used (ENOENT); create it or mend its owner.`,
    ],
    [
      'a ticket key that is not there',
      'sender',
      () => ({ channels: channel({ ticketKeyFiles: [key('gone.pem')] }) }),
      () =>
        `channels[0].ticketKeyFiles[0] is wrong: the public key file ${key('gone.pem')} cannot be used (ENOENT); create it or mend its owner.`,
    ],
    [
      'a device without an end where a key belongs',
      'receiver',
      () => ({ importerKeyFiles: ['/dev/zero'] }),
      () => 'importerKeyFiles[0] is wrong: the public key file /dev/zero cannot be used: it is no regular file.',
    ],
    [
      'a private key where a public one belongs',
      'importer',
      () => ({ channels: policy({ releaseKeyFiles: [key('release.key.pem')] }) }),
      () =>
        `channels[0].releaseKeyFiles[0] is wrong: the public key file ${key('release.key.pem')} cannot be used: this is a private key where the public one belongs; Ed25519, ECDSA P-256 and P-384 keys in PEM are taken.`,
    ],
    [
      'more signatures wanted than keys named',
      'receiver',
      () => ({ channels: policy({ releaseSignatures: 2 }) }),
      () =>
        "channels are wrong: channel prod wants 2 release signatures but names fewer keys; mend the channel's section.",
    ],
    [
      'no number of signatures: there is no default',
      'importer',
      () => ({ channels: policy({ releaseSignatures: undefined }) }),
      () => 'channels[0].releaseSignatures is missing; add it (integer, 0 to 16).',
    ],
    [
      'two channels of one ASID',
      'sender',
      () => ({ channels: [channel({}), channel({ name: 'other', inbox: '/x' })].flat() }),
      () => 'channels have the asid 0 twice; give each its own.',
    ],
    [
      'two channels of one inbox',
      'sender',
      () => ({ channels: [channel({}), channel({ name: 'other', asid: 1 })].flat() }),
      () => `channels have the inbox "${join(dir, 'inbox')}" twice; give each its own.`,
    ],
    [
      'two link keys of one ASID',
      'link',
      () => ({ keys: [linkKey({}), linkKey({ channel: 'other' })].flat() }),
      () => 'keys have the asid 0 twice; give each its own.',
    ],
    [
      'symbols that the link cannot carry',
      'sender',
      () => ({ link: { host: '127.0.0.1', port: 1, symbolBytes: 1400 } }),
      () => 'link.symbolBytes is 1400, which is no multiple of 16; take 1392.',
    ],
    [
      'a block of more symbols than the code has',
      'sender',
      () => ({ link: { host: '127.0.0.1', port: 1, fec: { profile: 'explicit', maxBlock: 200, repair: 60 } } }),
      () => 'link.fec has more than 255 symbols in a block; make maxBlock or repair smaller.',
    ],
    [
      'a chunk log without a directory',
      'link',
      () => ({ chunkLog: { mode: 'full' } }),
      () => 'chunkLog has mode "full" but no directory; add one, or set the mode to "off".',
    ],
    [
      'no socket for link',
      'link',
      () => ({ listen: undefined }),
      () => 'listen is missing and no socket was handed in; start through sluice-link.socket, or add listen.',
    ],
  ];

describe.concurrent('what keys say together', () => {
  it.for(IN_A_CHANNEL)('is refused in one sentence: %s', async ([, daemon, broken, sentence]) => {
    const file = write(JSON.stringify(config(daemon, broken() as Record<string, unknown>)));
    const { status, stderr } = await sluice(daemon, '--config', file);
    const code =
      sentence().includes(`names ${dir}`) || sentence().includes('names the secret') ? 'secret-file' : 'config-invalid';
    expect([status, stderr]).toEqual([EXIT.config, `sluice: ${file}: ${sentence()} (${code})\n`]);
  });
});

describe('what is no fault of the configuration', () => {
  it('has another status, and is one sentence too', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    mkdirSync(join(dir, 'sockets'));
    const file = write(JSON.stringify(config('sender', { http: { port }, controlSocket: join(dir, 'sockets/c') })));
    const { status, stderr } = await sluice('sender', '--config', file);
    taken.close();
    expect(stderr).toBe(
      `sluice: cannot listen on 127.0.0.1 port ${String(port)} (listen EADDRINUSE: address already in use 127.0.0.1:${String(port)}); free it or set another in the configuration. (http-listen)\n`,
    );
    expect(status).toBe(EXIT.failed);
  });

  it('a command that is not known has the status of a wrong command line', async () => {
    expect(await sluice('sendr')).toEqual({
      status: EXIT.usage,
      stdout: '',
      stderr: 'sluice: there is no command "sendr"; "sluice help" lists them\n',
    });
  });

  it('a file that a command cannot read has the status of a failure', async () => {
    const { status, stderr } = await sluice('release', 'verify', '--key', key('gone'), key('gone'));
    expect([status, stderr]).toEqual([
      EXIT.failed,
      `sluice: ENOENT: no such file or directory, open '${key('gone')}'\n`,
    ]);
  });
});
