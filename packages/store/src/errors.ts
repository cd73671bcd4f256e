import { type Digest, OperationalError } from '@sluice/ports';

export const missing = (digest: Digest): OperationalError =>
  new OperationalError('store-missing', `the store does not have blob ${digest}`, { retryable: false });

export const mismatch = (digest: Digest): OperationalError =>
  new OperationalError(
    'store-digest-mismatch',
    `the bytes of blob ${digest} are not what its digest says; nothing was kept of them`,
    {
      retryable: false,
    },
  );

export const tooLarge = (digest: Digest, limit: number): OperationalError =>
  new OperationalError(
    'store-too-large',
    `blob ${digest} is larger than the ${String(limit)} bytes that it may have here`,
    { retryable: false },
  );

const errnoOf = (error: unknown): string => (error as { readonly code?: string }).code ?? 'unknown error';

/** An error of the file system, told as one of ours. */
export function ioFault(cause: unknown, what: string): OperationalError {
  if (cause instanceof OperationalError) return cause;
  const code = errnoOf(cause);
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
