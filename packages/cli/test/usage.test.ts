import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT } from '@sluice/base';
import { scratch, sluice } from './sluice.ts';

const TIMEOUT_MS = 60_000;

describe('the command line', { timeout: TIMEOUT_MS }, () => {
  it('shows what there is', () => {
    const help = sluice('help');
    expect(help).toMatchObject({ status: EXIT.ok, err: '' });
    for (const command of ['sender', 'receiver', 'link', 'importer', 'release', 'submit', 'keys', 'replay', 'config']) {
      expect(help.out).toMatch(new RegExp(`^ {2}${command} `, 'm'));
    }
    expect(sluice('--help').out).toBe(help.out);
    expect(sluice()).toMatchObject({ status: EXIT.usage, out: help.out });
  });

  it.each([
    [['nothing'], 'there is no command "nothing"; "sluice help" lists them'],
    [['__proto__'], 'there is no command "__proto__"'],
    [['sender'], '--config is missing'],
    [['receiver', '--config'], '--config'],
    [['link', '--confg', 'x'], '--confg'],
    [['release'], 'release takes "create", "sign" or "verify"'],
    [['release', 'create', '--name', 'x'], 'release create takes the paths of images and files'],
    [['release', 'create', 'a'], '--name is missing'],
    [['release', 'sign', '--key', 'k'], 'release sign takes one statement or envelope'],
    [['release', 'sign', 'a'], '--key is missing'],
    [['release', 'sign', '--key', 'k', 'a', 'b'], 'release sign takes one statement or envelope'],
    [['release', 'verify', 'a'], '--key is missing: name the public keys that may approve'],
    [['keys', 'make'], 'keys takes generate, link, id, list, revoke, signed, switch'],
    [['keys', 'generate'], '--out is missing'],
    [['keys', 'generate', '--out', 'x', '--algorithm', 'RSA'], '--algorithm is one of Ed25519, ECDSA-P256, ECDSA-P384'],
    [['submit'], 'submit takes the paths of images and files'],
    [['submit', '--sockt', 'x', 'a'], '--sockt'],
    [['replay', '--keys', 'k'], 'replay takes the chunk logs or captures'],
    [['replay', '--keys', 'k', '--port', 'x', 'a'], '--port'],
    [['config', 'look', 'link', 'x'], 'config takes "check", "reference" or "schema"'],
    [['config', 'reference', 'relay'], 'sender, receiver, link or importer'],
    [['config', 'check', 'link'], 'config check takes a daemon and its file'],
  ])('%j is not known, and says what is', (args, sentence) => {
    const { status, out, err } = sluice(...args);
    expect(err).toMatch(/^sluice: .*\n$/);
    expect(err).toContain(sentence);
    expect({ status, out }).toEqual({ status: EXIT.usage, out: '' });
  });

  it('a file that is not there, or no configuration, is one sentence and its status', () => {
    const dir = scratch();
    const bad = join(dir, 'bad.json');
    writeFileSync(bad, '{"listen":{"port":7},"keys":[],"unknown":1}');
    const cases: [number, readonly string[], string][] = [
      [EXIT.config, ['link', '--config', join(dir, 'none.json')], 'there is no such file'],
      [EXIT.config, ['config', 'check', 'link', bad], 'unknown'],
      [EXIT.config, ['link', '--config', bad], 'unknown'],
      [EXIT.failed, ['release', 'sign', '--key', join(dir, 'none'), bad], 'ENOENT'],
      [EXIT.failed, ['release', 'create', '--name', 'x', join(dir, 'none')], 'none'],
    ];
    for (const [status, args, words] of cases) {
      const ended = sluice(...args);
      expect(ended.err).toMatch(/^sluice: [^\n]*\n$/);
      expect(ended.err).toContain(words);
      expect(ended).toMatchObject({ status, out: '' });
    }
  });

  it('what a name says never reaches the terminal as it is', () => {
    const { err } = sluice('\u001b[2Jevil\nsecond line');
    expect(err).not.toContain('\u001b');
    expect(err.split('\n')).toHaveLength(2);
  });

  it('describes every configuration', () => {
    const own = {
      sender: 'controlSocket',
      receiver: 'quarantineBundles',
      link: 'spoolDirectory',
      importer: 'receiptKeyFile',
    };
    for (const [daemon, key] of Object.entries(own)) {
      const { status, out } = sluice('config', 'reference', daemon);
      expect(status).toBe(EXIT.ok);
      expect(out).toContain(`| \`${key}\` |`);
    }
  });
});
