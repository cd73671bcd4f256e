import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { makeKeyPair, loadVerifier, type SignatureAlgorithm } from '@sluice/trust';
import { parseArguments, required, UsageError } from './arguments.ts';

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
  const { privatePem, publicPem } = makeKeyPair(algorithm);
  writeFileSync(`${prefix}.key.pem`, privatePem, { flag: 'wx', mode: 0o600 });
  writeFileSync(`${prefix}.pub.pem`, publicPem, { flag: 'wx', mode: 0o644 });
  process.stdout.write(`${loadVerifier(publicPem).keyid}\n`);
  return 0;
}
