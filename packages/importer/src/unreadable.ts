import { type BlobStore, type Digest, OperationalError } from '@sluice/ports';

/** What an import needs of the store. */
export type ImportStore = Pick<BlobStore, 'read' | 'readVerified' | 'put'>;

/** Attempts in a row, of which each met a blob that could not be read: about half a minute by the waits that are set if none are. */
export const UNREAD_MOST = 5;

/** The disk could not read what it has. */
export const isUnread = (error: unknown): boolean =>
  error instanceof OperationalError &&
  error.code === 'store-io' &&
  (error.cause as NodeJS.ErrnoException | undefined)?.code === 'EIO';

/**
 * The store, for an attempt before which as many in a row met what could not be read. After `UNREAD_MOST` no further attempt will help: such a blob counts as
 * missing (`store-missing`), so that the receiver puts it aside and has it come again.
 */
export function storeAfter(unread: number, store: ImportStore): ImportStore {
  if (unread < UNREAD_MOST) return store;
  return {
    put: (digest, size, bytes) => store.put(digest, size, bytes),
    readVerified: async (digest, limit) => {
      try {
        return await store.readVerified(digest, limit);
      } catch (error) {
        throw lost(error, digest);
      }
    },
    read: async (digest) => readable(await store.read(digest), digest),
  };
}

async function* readable(bytes: AsyncIterable<Uint8Array>, digest: Digest): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes;
  } catch (error) {
    throw lost(error, digest);
  }
}

function lost(error: unknown, digest: Digest): unknown {
  if (!isUnread(error)) return error;
  const text = `the disk of the store cannot read blob ${digest} (EIO), also not after ${String(UNREAD_MOST)} attempts`;
  return new OperationalError('store-missing', text, { retryable: false, cause: error });
}
