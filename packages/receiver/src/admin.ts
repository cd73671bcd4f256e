import type { Logger, Shutdown } from '@sluice/base';
import { parseEnvelope, parseReceipt } from '@sluice/bundle';
import { addRoutes, startControl } from '@sluice/chassis';
import type { ReceiverLedger, SignedBundle } from '@sluice/ledger';
import {
  type Anchors,
  type Asker,
  type ControlResult,
  type ControlRoutes,
  findKey,
  type KnownKey,
  no,
  type TrustRouteParts,
  trustRoutes,
} from '@sluice/policy';
import { jsonText, ok } from '@sluice/ports';
import { openPeerReader } from '@sluice/trust';
import type { ReceiverConfig } from './config.ts';
import type { LinkState } from './link-state.ts';
import type { Outbox } from './outbox.ts';
import type { ImportRetry } from './import-retry.ts';
import type { SecondLook } from './second-look.ts';

export interface AdminParts {
  readonly ledger: ReceiverLedger;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  readonly anchors: Anchors;
  readonly outbox: Outbox;
  readonly secondLook: SecondLook;
  readonly retry: ImportRetry;
  readonly link: LinkState;
  /** Ids of the importers' keys. */
  readonly importers: readonly string[];
}

/** Bundles in one answer. */
const PAGE = 100;

/** The control socket for those who run the receiver: every change on it is an entry of the ledger, with who and why. */
export async function startAdmin(config: ReceiverConfig, parts: AdminParts): Promise<void> {
  if (config.control === undefined) return;
  const { socket, mode, users, io } = config.control;
  const peer = await openPeerReader(io);
  const control = await startControl({
    ...{ socketPath: socket, mode: Number.parseInt(mode, 8), logger: parts.logger, peer, users },
    routes: (app) => {
      addRoutes(app, adminRoutes(parts), peer);
    },
  });
  parts.shutdown.add('admin control', () => control.close());
}

export function adminRoutes(parts: AdminParts): ControlRoutes {
  const { ledger, outbox, secondLook, retry } = parts;
  const trust: TrustRouteParts = {
    anchors: parts.anchors,
    others: () => otherKeys(parts),
    signed: (key) => ledger.signatures.count(key),
  };
  return {
    ...trustRoutes(trust),
    '/v1/keys/signed': {
      reason: 'free',
      answer: ({ key, before }) => {
        const found = findKey(trust, key);
        return found.ok ? ok(signedPage(ledger, found.value.key, numberOf(before))) : found;
      },
    },
    '/v1/pause': { reason: 'needed', answer: (_, asker) => ok(paused(outbox, true, asker)) },
    '/v1/resume': { reason: 'needed', answer: (_, asker) => ok(paused(outbox, false, asker)) },
    '/v1/caught-up': { reason: 'needed', answer: ({ channel }, asker) => caughtUp(parts, channel, asker) },
    '/v1/quarantine': { reason: 'free', answer: ({ before }) => ok(secondLook.list(PAGE, numberOf(before))) },
    '/v1/quarantine/show': { reason: 'free', answer: ({ bundle }) => secondLook.show(bundle) },
    '/v1/quarantine/retry': { reason: 'needed', answer: ({ bundle }, asker) => secondLook.retry(bundle, asker) },
    '/v1/retry': { reason: 'needed', answer: ({ bundle }, asker) => retry.now(bundle, asker) },
  };
}

const numberOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;

function paused(outbox: Outbox, wanted: boolean, asker: Parameters<Outbox['pause']>[1]) {
  const before = outbox.paused;
  outbox.pause(wanted, asker);
  return { paused: wanted, before };
}

/** After a restore: not all of a channel comes again, and its imports go on. */
function caughtUp({ ledger, logger, outbox }: AdminParts, channel: unknown, asker: Asker): ControlResult<unknown> {
  if (typeof channel !== 'string' || !ledger.keeping.behind().includes(channel))
    return no('not-restored', 'the channel is none that waits since the ledger was restored');
  ledger.keeping.caughtUp(channel, { action: 'caught-up', ...asker });
  logger.warn({ channel, ...asker }, 'imports of the channel go on, though not all came again');
  void outbox.reconcile();
  return ok({ channel });
}

/** Keys that are no trust anchors of channels: those of importers, and of the link as it names them. */
function otherKeys({ anchors, importers, link }: AdminParts): KnownKey[] {
  const known = (key: string, place: string): KnownKey => ({
    key,
    name: '',
    places: [place],
    revoked: anchors.isRevoked(key),
  });
  return [
    ...importers.map((key) => known(key, 'receipts')),
    ...link.keys.map(({ id, channel, asid }) => known(id, `${channel}: link, asid ${String(asid)}`)),
  ];
}

/** What a key signed: each bundle with what became of it, and where its artifacts are by the word of the importer's receipt. */
function signedPage(ledger: ReceiverLedger, key: string, before: number | undefined) {
  const bundles = ledger.signatures.by(key, PAGE, before);
  const last = bundles.length === PAGE ? bundles.at(-1)?.number : undefined;
  return { key, items: bundles.map((bundle) => signedView(ledger, bundle)), next: last ?? null };
}

function signedView(ledger: ReceiverLedger, { number: _, id, name, ...bundle }: SignedBundle) {
  const envelope = ledger.receipt(id);
  const opened = envelope === undefined ? undefined : parseEnvelope(envelope);
  const receipt = opened?.ok ? parseReceipt(opened.value.payload) : undefined;
  const { artifacts, full } = receipt?.ok === true ? receipt.value : { artifacts: [], full: undefined };
  return { ...bundle, bundle: id, name: jsonText(name), artifacts, ...(full && { receipt: full.digest }) };
}
