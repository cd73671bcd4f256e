import { type Digest, OperationalError } from '@sluice/ports';

export const missing = (digest: Digest): OperationalError =>
  new OperationalError('store-missing', `the store does not have blob ${digest}`, { retryable: false });

/** What was to be stored is not what its digest says. */
export const mismatch = (digest: Digest): OperationalError =>
  new OperationalError(
    'store-digest-mismatch',
    `the bytes given for blob ${digest} are not what its digest says; nothing was kept of them`,
    { retryable: false },
  );

/** What lies in the store is not what its digest says. */
export const exchanged = (digest: Digest): OperationalError =>
  new OperationalError(
    'store-digest-mismatch',
    `the store holds other bytes under ${digest}; find out who changed them, remove the blob and send its bundle again`,
    { retryable: false },
  );

export const tooLarge = (digest: Digest, limit: number): OperationalError =>
  new OperationalError(
    'store-too-large',
    `blob ${digest} is larger than the ${String(limit)} bytes that it may have here`,
    { retryable: false },
  );

export const isGone = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/** An error of the file system, told as one of ours. Anything else is a mistake of ours and stays what it is. */
export function ioFault(cause: unknown, what: string): unknown {
  if (!(cause instanceof Error) || !('syscall' in cause)) return cause;
  const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new OperationalError(
      'store-full',
      `${what}: the disk of the store is full; make room and it goes on by itself`,
      { retryable: true, cause },
    );
  }
  return new OperationalError('store-io', `${what}: ${code}; look at the disk of the store`, {
    retryable: true,
    cause,
  });
}
