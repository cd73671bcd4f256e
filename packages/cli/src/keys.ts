import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { linkKeyId, loadVerifier, makeKeyPair, type SignatureAlgorithm } from '@sluice/trust';
import { KEY_COMMANDS } from './trust.ts';
import { parseArguments, RefusedError, required, UsageError } from './arguments.ts';
import { printed } from './control.ts';
import { say } from './say.ts';
import { optionsOf } from './table.ts';

const ALGORITHMS: readonly SignatureAlgorithm[] = optionsOf('keys generate').algorithm.words;

/** `sluice keys …`: what makes keys never overwrites a file; what is about keys in use goes to a daemon. */
export async function keys([what, ...args]: readonly string[]): Promise<number> {
  const inUse = what !== undefined && Object.hasOwn(KEY_COMMANDS, what) ? KEY_COMMANDS[what] : undefined;
  if (inUse !== undefined) return inUse(args);
  if (what === 'link') {
    const { values } = parseArguments(args, optionsOf('keys link'));
    const key = randomBytes(32);
    writeFileSync(required(values.out, 'out'), `${key.toString('hex')}\n`, { flag: 'wx', mode: 0o600 });
    return said(linkKeyId(key), values.json);
  }
  if (what !== 'generate') throw new UsageError(`keys takes generate, link, ${Object.keys(KEY_COMMANDS).join(', ')}`);
  const { values } = parseArguments(args, optionsOf('keys generate'));
  const algorithm = ALGORITHMS.find((candidate) => candidate === values.algorithm);
  if (algorithm === undefined) throw new UsageError(`--algorithm is one of ${ALGORITHMS.join(', ')}`);
  const prefix = required(values.out, 'out');
  const [keyFile, publicFile] = [`${prefix}.key.pem`, `${prefix}.pub.pem`];
  const there = [keyFile, publicFile].find((file) => existsSync(file));
  if (there !== undefined) throw new RefusedError(`${there} is there already; move it away, or name another prefix`);
  const { privatePem, publicPem } = makeKeyPair(algorithm);
  writeFileSync(keyFile, privatePem, { flag: 'wx', mode: 0o600 });
  writeFileSync(publicFile, publicPem, { flag: 'wx', mode: 0o644 });
  return said(loadVerifier(publicPem).keyid, values.json);
}

function said(id: string, json: boolean | undefined): number {
  if (json === true) return printed({ id });
  say(id);
  return 0;
}
