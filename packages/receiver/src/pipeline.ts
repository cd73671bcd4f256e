import { checkChain, type VerifiedTransport } from '@sluice/bundle';
import type { Digest, Refusal } from '@sluice/ports';
import { Contents, PACK_TYPE } from './contents.ts';
import { Inventory, type SpooledObject } from './inventory.ts';
import type { JudgedRelease } from './judge/messages.ts';
import { Mender } from './mend.ts';
import { lookInStore, type OpenBundle, OpenBundles, type UnderWay, underWay } from './open-bundles.ts';
import { storeBundle } from './publish.ts';
import { Room } from './room.ts';
import { SpoolSide } from './spool-side.ts';
import { Attempts, chainOf, type PipelineParts, quarantined, RETRY_MS, stillHolds } from './pipeline-parts.ts';
import { liesInSpool } from './spooled.ts';
import { STATEMENT_TYPE, versionsOf } from './statements.ts';
import { Turns } from './turns.ts';
import { type VerifiedBundle, verifyBundle } from './verify.ts';

/**
 * The order of stops on the isolated side, after link:
 *
 *   13 verify    statement -> transport -> chain -> release -> policy -> contents -> closures -> gates
 *   14 publish   storeBundle, ledger with outbox, link told that it may forget
 *
 * Link names whole objects again whenever either side restarts, so nothing here needs to be remembered but the ledger.
 */
export class ReceiverPipeline {
  readonly #parts: PipelineParts;
  readonly #inventory = new Inventory();
  readonly #open = new OpenBundles();
  readonly #spool: SpoolSide;
  readonly #attempts: Attempts;
  readonly #mender: Mender;
  readonly #room: Room;
  /** Statements are judged one after the other, bundles too; a large bundle does not hold up statements. */
  readonly #statements = new Turns();
  readonly #bundles = new Turns();

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#spool = new SpoolSide(parts, this.#inventory, this.#open);
    this.#attempts = new Attempts(parts.logger);
    const forget = (channel: string, digest: Digest): void => {
      const object = this.#inventory.get(channel, digest);
      if (object !== undefined) this.#spool.gone(object);
    };
    this.#room = new Room({ ...parts, open: this.#open, forget });
    this.#mender = new Mender({
      ...parts,
      open: this.#open,
      spooled: (channel, digest) => this.#spool.has(channel, digest),
      again: (channel, digest) => {
        const object = this.#inventory.get(channel, digest);
        if (object !== undefined) this.#spool.again(object);
      },
      allow: (transport) => {
        this.#spool.allow(transport);
      },
      proceed: (bundle) => {
        this.#proceed(bundle);
      },
    });
  }

  /** Goes on with what a former run left. */
  resume(): void {
    for (const id of this.#mender.unsettled()) void this.doubt(id);
  }

  /** A published bundle may have lost something in the store: all that it needs is hashed, and what does not hold comes again. */
  async doubt(id: Digest): Promise<void> {
    const done = await this.#bundles.take(() => this.#attempts.run(id, () => this.#mender.examine(id)));
    if (!done) setTimeout(() => void this.doubt(id), RETRY_MS).unref();
  }

  /** Whoever takes something out of the store does it in turn with the bundles. */
  alone(work: () => Promise<void>): Promise<void> {
    return this.#bundles.take(work);
  }

  /** Bundles under way. */
  get open(): readonly UnderWay[] {
    return [...this.#open].map(underWay);
  }

  /** What cannot go on for want of disk or store, and why. */
  get held(): readonly { readonly code: string; readonly detail: string }[] {
    return [...this.#attempts.held.values()];
  }

  /** Link connected anew: what it has, it says again. A link that was started anew knows of no leave that was given. */
  linkConnected(): void {
    this.#inventory.clear();
    this.#open.allWent();
    for (const bundle of this.#open)
      if (bundle.release !== undefined && bundle.admitted) this.#spool.allow(bundle.transport);
    this.#mender.linkConnected();
  }

  /** Lets in what waits and fits by now. */
  makeRoom(): Promise<void> {
    return this.#statements.take(async () => {
      for (const [i, bundle] of this.#room.waiting.entries()) {
        await this.#attempts.run(bundle.transport.id, () => {
          if (i === 0) this.#room.giveWay();
          return this.#enter(bundle);
        });
      }
    });
  }

  /** Some of an object has come. */
  moved(channel: string, digest: Digest): void {
    this.#open.moved(channel, digest);
  }

  /** A whole object lies in the spool. */
  async object(object: SpooledObject): Promise<void> {
    if (!this.#parts.channels.has(object.channel)) return;
    if (!liesInSpool(object, 'whole', this.#parts.logger)) return;
    this.#inventory.add(object);
    if (object.contentType === STATEMENT_TYPE) await this.#judge(object);
    else {
      const wanting = this.#open.came(object.channel, object.digest);
      this.#prepare(object);
      for (const bundle of wanting) this.#proceed(bundle);
      if (wanting.length === 0 && this.#open.late(object.channel, object.digest)) this.#spool.settle(object);
    }
  }

  /** An object that is not whole has `bytes` bytes by now, which stay as they are; with 0 what it had does not. */
  grown(object: SpooledObject, bytes: number): void {
    if (!liesInSpool(object, 'part', this.#parts.logger)) return;
    if (bytes === 0) this.#parts.checks.drop(object);
    else if (object.contentType !== PACK_TYPE && this.#isWanted(object)) this.#parts.checks.follow(object, bytes);
  }

  /** Resolves when all that was under way is settled. */
  async idle(): Promise<void> {
    await this.#statements.idle();
    await this.#bundles.idle();
  }

  /** Link names a whole object once: where the world fails, asking again is ours. */
  async #judge(object: SpooledObject): Promise<void> {
    const done = await this.#statements.take(() => this.#attempts.run(object, () => this.#statement(object)));
    if (done) return;
    const timer = setTimeout(() => {
      if (this.#inventory.get(object.channel, object.digest) === object) void this.#judge(object);
    }, RETRY_MS);
    timer.unref();
  }

  async #statement(object: SpooledObject): Promise<void> {
    const { judge, ledger, statementBytes } = this.#parts;
    const { channel, digest } = object;
    const bundles = this.#open.releasedBy(channel, digest);
    if (bundles.length > 0) {
      for (const bundle of bundles) await this.#release(bundle);
      return;
    }
    const known = ledger.bundle(digest);
    if (this.#open.late(channel, digest) || (known !== undefined && object.size > statementBytes)) {
      this.#spool.settle(object);
      return;
    }
    if (object.size > statementBytes) {
      const refusal = { code: 'statement-too-large', detail: `${String(object.size)} bytes` } as const;
      await quarantined(this.#parts, { id: digest, channel }, refusal, []);
      this.#spool.settle(object);
      return;
    }
    const judged = await judge.any(object, statementBytes);
    if (judged.type === 'damaged') this.#spool.again(object);
    else if (judged.type === 'transport') {
      // Refused by another channel, before its number counted, it is still new to its own.
      const over = known !== undefined && known.state !== 'receiving' && known.channel === channel;
      if (over) this.#spool.closeAgain(judged.transport);
      else await this.#transport(judged.transport, object);
    } else if (known !== undefined) this.#spool.settle(object);
    // A release waits for the transport statement that names it.
    else if (judged.type === 'refused') {
      await quarantined(this.#parts, { id: digest, channel }, judged.refusal, [object]);
      this.#spool.settle(object);
    }
  }

  async #transport(transport: VerifiedTransport, object: SpooledObject): Promise<void> {
    const { ledger, logger } = this.#parts;
    const { id, statement } = transport;
    const { channel, sequence, bytes, seconds } = statement;
    const chain = checkChain(transport, chainOf(ledger, channel));
    if (!chain.ok) {
      await quarantined(this.#parts, { id, channel }, chain.error, [object]);
      this.#spool.close(transport);
      return;
    }
    if (chain.value === 'new' && this.#spool.turnsAway(transport, object)) return;
    if (chain.value === 'new') {
      const { previous, release } = statement;
      ledger.received({ id, channel, sequence, previous, release: release.digest, bytes, seconds }, transport.signer);
      logger.info(
        { bundle: id, channel, sequence, bytes, objects: statement.objects.length },
        'transport statement holds',
      );
    }
    const { digest } = statement.release;
    // An earlier bundle may have brought the same release: link must take it again.
    if (!this.#spool.has(channel, digest)) this.#parts.toLink({ type: 'allow', channel, digests: [digest] });
    const bundle = this.#open.take(transport, (each) => this.#spool.has(channel, each));
    bundle.checked ??= this.#mender.came(id);
    // Let in by an earlier run.
    if (chain.value !== 'new' && (ledger.bundle(id)?.code ?? '') === '') bundle.admitted = true;
    await this.#release(bundle);
  }

  /** The release statement of a bundle, once it is there: policy, and leave for the blobs to come in. */
  async #release(bundle: OpenBundle): Promise<void> {
    if (bundle.release !== undefined) return;
    const { ledger, statementBytes } = this.#parts;
    const { channel, release: named } = bundle.transport.statement;
    if (named.size > statementBytes) {
      const detail = `the release has ${String(named.size)} bytes, and a statement at most ${String(statementBytes)}`;
      return this.#refuseBundle(bundle.transport, { code: 'statement-too-large', detail });
    }
    const object = this.#inventory.get(channel, named.digest);
    const before = ledger.bundle(named.digest);
    if (object === undefined && before?.state === 'quarantined') {
      // It came before the statement that names it, and was no statement at all.
      const refusal = { code: before.code as Refusal['code'], detail: before.detail.text };
      return this.#refuseBundle(bundle.transport, refusal);
    }
    if (object === undefined) return;
    const judged = await this.#parts.judge.release(object, statementBytes, bundle.transport);
    if (judged.type === 'damaged') {
      this.#spool.again(object);
      return;
    }
    if (judged.type === 'refused') {
      return this.#refuseBundle(bundle.transport, judged.refusal);
    }
    if (judged.type !== 'release') throw new Error('a release was judged as something else');
    const still = stillHolds(this.#parts, bundle, judged.release);
    if (still.ok) await this.#released(bundle, judged.release);
    else await this.#refuseBundle(bundle.transport, still.error);
  }

  async #released(bundle: OpenBundle, release: JudgedRelease): Promise<void> {
    const { id, statement } = bundle.transport;
    const { channel, sequence } = statement;
    bundle.release = release;
    const { name, artifacts, signers } = release;
    this.#parts.logger.info(
      { bundle: id, channel, sequence, name, artifacts, signers: signers.length },
      'release statement holds',
    );
    try {
      if (bundle.checked === undefined) await this.#enter(bundle);
      else await this.#mender.mend(bundle);
    } catch (error) {
      // The release is judged once more, and what could not be done is done then.
      bundle.release = undefined;
      throw error;
    }
    if (!this.#open.has(id)) return;
    for (const { digest } of statement.objects) {
      const there = this.#inventory.get(channel, digest);
      if (there !== undefined) this.#prepare(there);
    }
    this.#proceed(bundle);
  }

  /** Begins to hash an object that is wanted, while others still come. What is wrong with it shows when the bundle is whole. */
  #prepare(object: SpooledObject): void {
    if (this.#isWanted(object)) this.#parts.checks.begin(object, object.contentType === PACK_TYPE);
  }

  /** True for what a bundle whose statements hold lists, and the store has not. */
  #isWanted({ channel, digest }: SpooledObject): boolean {
    const wanting = this.#open.wanting(channel, digest);
    return wanting.some(({ release, stored }) => release !== undefined && !stored.has(digest));
  }

  /** Other keys count: what is under way and does not hold any more is refused. */
  async lookAgain(): Promise<void> {
    for (const bundle of [...this.#open]) {
      const still = bundle.release === undefined ? undefined : stillHolds(this.#parts, bundle, bundle.release);
      if (still?.ok === false) await this.#refuseBundle(bundle.transport, still.error);
    }
  }

  /** A refused bundle whose statements hold after all is under way again: what it brings is wanted once more. */
  async reopen(transport: VerifiedTransport, release: JudgedRelease | undefined): Promise<void> {
    const { channel, release: named } = transport.statement;
    this.#parts.toLink({ type: 'allow', channel, digests: [transport.id, named.digest] });
    const bundle = this.#open.take(transport, (each) => this.#spool.has(channel, each));
    bundle.checked ??= this.#mender.came(transport.id);
    if (release !== undefined && bundle.release === undefined) await this.#released(bundle, release);
    else await this.#release(bundle);
  }

  /** Leave for the objects of a bundle when there is room for all of it. Otherwise it waits, or is refused. */
  async #enter(bundle: OpenBundle): Promise<void> {
    if (!bundle.looked && !bundle.admitted && !this.#room.fits(bundle)) await lookInStore(bundle, this.#parts.store);
    const admitted = this.#room.admit(bundle);
    if (admitted === true) this.#spool.allow(bundle.transport);
    else if (admitted !== false) await this.#refuseBundle(bundle.transport, admitted);
  }

  /** Verifies the bundle when all of it seems to be there. */
  #proceed(bundle: OpenBundle, anyway = false): void {
    const waits = bundle.missing.size > 0 && bundle.looked && !anyway;
    if (bundle.release === undefined || bundle.verifying || waits) return;
    bundle.verifying = true;
    void this.#bundles.take(async () => {
      // What comes from here on may be what was missing: it asks anew.
      bundle.verifying = false;
      const done = await this.#attempts.run(bundle.transport.id, () => this.#verifyAndPublish(bundle));
      if (!done)
        setTimeout(() => {
          this.#proceed(bundle);
        }, RETRY_MS);
    });
  }

  async #verifyAndPublish(bundle: OpenBundle): Promise<void> {
    const { checks, gates, logger, ledger, canary } = this.#parts;
    const { transport, release, stored } = bundle;
    const store = bundle.checked ?? this.#parts.store;
    if (release === undefined || !this.#open.has(transport.id)) return;
    const { channel, sequence, objects } = transport.statement;
    const before = ledger.publishedAs(channel, release.digest, release.content);
    if (before !== undefined && !(canary?.channel === channel && canary.release === release.digest)) {
      const detail = `the release was published by bundle ${before}, and would undo what came since`;
      await this.#refuseBundle(transport, { code: 'release-repeated', detail });
      return;
    }
    if (!bundle.looked) await lookInStore(bundle, store);
    if (bundle.missing.size > 0) return;
    // Packs are not kept as such, but for those of a bundle that was published before.
    const wanted = objects.filter(({ digest, contentType }) => contentType !== PACK_TYPE || !stored.has(digest));
    const opened = await Contents.open(wanted, (digest) => this.#inventory.get(channel, digest), { store, checks });
    if (!opened.ok) {
      await this.#refuseBundle(transport, opened.error);
      return;
    }
    if (opened.value.type === 'again') {
      for (const object of opened.value.bad) this.#spool.again(object);
      return;
    }
    const verified = await verifyBundle(transport, release, opened.value.contents, { store, gates }).catch(
      async (error: unknown) => {
        await this.#mender.wanting(bundle, error);
        throw error;
      },
    );
    if (!verified.ok) {
      // A manifest that came again may name more that is damaged.
      if (verified.error.code === 'blob-missing' && (await this.#mender.mend(bundle, opened.value.contents))) return;
      await this.#refuseBundle(transport, verified.error);
      return;
    }
    let still = stillHolds(this.#parts, bundle, release);
    if (still.ok) {
      logger.info({ bundle: transport.id, channel, sequence, blobs: verified.value.blobs }, 'verified');
      await storeBundle(verified.value, this.#parts.store, bundle.checked);
      still = stillHolds(this.#parts, bundle, release);
    }
    if (still.ok) this.#record(verified.value);
    else await this.#refuseBundle(transport, still.error);
  }

  #record({ transport, release, blobs, gates, contents }: VerifiedBundle): void {
    const { ledger, logger } = this.#parts;
    const { id, statement } = transport;
    const { signers } = release;
    ledger.publish(id, release.name, versionsOf(release), {
      release: release.digest,
      content: release.content,
      signers,
      blobs,
      gates,
    });
    const { channel, sequence, bytes } = statement;
    logger.info({ bundle: id, channel, sequence, name: release.name, bytes }, 'published');
    this.#spool.close(transport);
    const others = this.#open.nowStored(contents.places.keys());
    // One of the same release is refused now, whatever of it is missing.
    for (const other of [...others, ...this.#open.releasedBy(statement.channel, release.digest)])
      this.#proceed(other, true);
    this.#parts.onPublished(id);
  }

  async #refuseBundle(transport: VerifiedTransport, refusal: Refusal): Promise<void> {
    const { id, statement } = transport;
    if (!this.#open.has(id)) return;
    const statements = [id, statement.release.digest].map((digest) => this.#inventory.get(statement.channel, digest));
    const spooled = statements.filter((object) => object !== undefined);
    await quarantined(this.#parts, { id, channel: statement.channel }, refusal, spooled);
    this.#spool.close(transport);
  }
}
