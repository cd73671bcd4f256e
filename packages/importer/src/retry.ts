import { OperationalError } from '@sluice/ports';
import { type FailureClass, RegistryError } from '@sluice/registry';
import type { ImporterConfig } from './config.ts';

/**
 * What may be done about an error of the world; undefined for our own mistakes. Nothing but a registry's verdict on an object is
 * fatal: a store or a disk can be mended.
 */
export function classOf(error: unknown): FailureClass | undefined {
  if (error instanceof RegistryError) return error.failureClass;
  if (!(error instanceof OperationalError)) return undefined;
  return error.retryable && !error.code.startsWith('files-') ? 'transient' : 'operator';
}

/** Wait before the next attempt in milliseconds: doubling, capped, with the upper half at random so that importers do not march in step. */
export function paceOf(
  error: unknown,
  attempts: number,
  retry: ImporterConfig['retry'],
  random: () => number = Math.random,
): number {
  const slow = classOf(error) !== 'transient';
  const [first, most] = slow ? [retry.operatorFirst, retry.operatorMax] : [retry.transientFirst, retry.transientMax];
  const wait = Math.min(most, first * 2 ** Math.min(attempts - 1, 30));
  return wait / 2 + (wait / 2) * random();
}
