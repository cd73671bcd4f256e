import type { VerifiedTransport } from '@sluice/bundle';
import type { Digest } from '@sluice/ports';
import type { Inventory, SpooledObject } from './inventory.ts';
import type { OpenBundles } from './open-bundles.ts';
import type { PipelineParts } from './pipeline-parts.ts';
import { leaveFor } from './statements.ts';

/** What of the bundles lies in the spool, and what link is told about it. */
export class SpoolSide {
  readonly #parts: Pick<PipelineParts, 'checks' | 'logger' | 'toLink'>;
  readonly #inventory: Inventory;
  readonly #open: OpenBundles;

  constructor(parts: Pick<PipelineParts, 'checks' | 'logger' | 'toLink'>, inventory: Inventory, open: OpenBundles) {
    this.#parts = parts;
    this.#inventory = inventory;
    this.#open = open;
  }

  has(channel: string, digest: Digest): boolean {
    return this.#inventory.get(channel, digest) !== undefined;
  }

  /** Tells link that the bundle's objects may come in. */
  allow({ statement }: VerifiedTransport): void {
    for (const message of leaveFor(statement)) this.#parts.toLink(message);
  }

  /** The bundle is over: link may forget its objects. */
  close(transport: VerifiedTransport): void {
    this.#settleAll(transport, this.#ended(transport));
  }

  /**
   * The bundle was over before this run: what else link has of it was not settled, or was and link names it later. Once the
   * statement is settled nobody would speak of it again, so it goes by name, and before.
   */
  closeAgain(transport: VerifiedTransport): void {
    const { channel } = transport.statement;
    const ended = this.#ended(transport);
    const digests = ended.filter((digest) => !this.has(channel, digest));
    if (digests.length > 0) this.#parts.toLink({ type: 'withdraw', channel, digests });
    this.#settleAll(transport, ended);
  }

  #ended(transport: VerifiedTransport): readonly Digest[] {
    return this.#open.close(transport, (each) => this.has(transport.statement.channel, each));
  }

  #settleAll({ statement: { channel } }: VerifiedTransport, digests: readonly Digest[]): void {
    for (const digest of digests) {
      const object = this.#inventory.get(channel, digest);
      if (object !== undefined) this.settle(object);
    }
  }

  settle(object: SpooledObject): void {
    this.gone(object);
    this.#parts.toLink({ type: 'settle', channel: object.channel, key: object.key });
  }

  gone(object: SpooledObject): void {
    const { channel, digest } = object;
    this.#inventory.remove(channel, digest);
    this.#open.went(channel, digest);
    this.#parts.checks.drop(object);
  }

  /** True when too much waits for its release already, and that of this bundle is not there: its statement comes again with a later pass. */
  turnsAway(transport: VerifiedTransport, object: SpooledObject): boolean {
    const { channel, sequence, release } = transport.statement;
    if (this.has(channel, release.digest) || !this.#open.crowded(transport)) return false;
    this.#parts.logger.warn(
      { bundle: transport.id, channel, sequence },
      'too much waits for its release already: the statement of another bundle is taken in with a later pass',
    );
    this.gone(object);
    this.#parts.toLink({ type: 'forget', channel, key: object.key });
    return true;
  }

  /** The spool's bytes are not what they were when they came: a later pass brings them again. */
  again(object: SpooledObject): void {
    const { channel, digest, key } = object;
    this.#parts.logger.warn(
      { channel, object: digest },
      'an object in the spool is not what its digest says; it is gathered again',
    );
    this.gone(object);
    this.#parts.toLink({ type: 'forget', channel, key });
  }
}
