import type { Digest, LinkToReceiver } from '@sluice/ports';

/** A whole object in link's spool. */
export type SpooledObject = Omit<LinkToReceiver & { type: 'object' }, 'type'>;

/** What link has said lies whole in its spool, by channel and digest. */
export class Inventory {
  readonly #objects = new Map<string, SpooledObject>();

  add(object: SpooledObject): void {
    this.#objects.set(`${object.channel}/${object.digest}`, object);
  }

  get(channel: string, digest: Digest): SpooledObject | undefined {
    return this.#objects.get(`${channel}/${digest}`);
  }

  remove(channel: string, digest: Digest): void {
    this.#objects.delete(`${channel}/${digest}`);
  }

  /** Link started anew, and says again what it has. */
  clear(): void {
    this.#objects.clear();
  }
}
