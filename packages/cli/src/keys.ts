import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { makeKeyPair, loadVerifier, type SignatureAlgorithm } from '@sluice/trust';
import { parseArguments, RefusedError, required, UsageError } from './arguments.ts';

const ALGORITHMS: readonly SignatureAlgorithm[] = ['Ed25519', 'ECDSA-P256', 'ECDSA-P384'];

/** `sluice keys generate|link`: never overwrites a file. */
export function keys([what, ...args]: readonly string[]): number {
  if (what === 'link') {
    const { values } = parseArguments(args, { out: { type: 'string' } });
    writeFileSync(required(values.out, 'out'), `${randomBytes(32).toString('hex')}\n`, { flag: 'wx', mode: 0o600 });
    return 0;
  }
  if (what !== 'generate') throw new UsageError('keys takes "generate" or "link"');
  const { values } = parseArguments(args, {
    out: { type: 'string' },
    algorithm: { type: 'string', default: 'Ed25519' },
  });
  const algorithm = ALGORITHMS.find((candidate) => candidate === values.algorithm);
  if (algorithm === undefined) throw new UsageError(`--algorithm is one of ${ALGORITHMS.join(', ')}`);
  const prefix = required(values.out, 'out');
  const [keyFile, publicFile] = [`${prefix}.key.pem`, `${prefix}.pub.pem`];
  const there = [keyFile, publicFile].find((file) => existsSync(file));
  if (there !== undefined) throw new RefusedError(`${there} is there already; move it away, or name another prefix`);
  const { privatePem, publicPem } = makeKeyPair(algorithm);
  writeFileSync(keyFile, privatePem, { flag: 'wx', mode: 0o600 });
  writeFileSync(publicFile, publicPem, { flag: 'wx', mode: 0o644 });
  process.stdout.write(`${loadVerifier(publicPem).keyid}\n`);
  return 0;
}
