import type { Receipt, VerifiedTransport } from '@sluice/bundle';
import type { ImporterLedger } from '@sluice/ledger';
import { type BundleCode, type Digest, type ImportCode, OperationalError } from '@sluice/ports';
import type { Harbor, Registry, RegistryCode, ReplicationExecution } from '@sluice/registry';
import { RegistryError } from '@sluice/registry';
import type { Signer } from '@sluice/trust';
import { deliver, type Delivery, proveDelivery, publish } from './deliver.ts';
import type { FileSite } from './files.ts';
import { makePlan } from './plan.ts';
import { issueReceipt } from './receipts.ts';
import { replicateAll } from './sites.ts';
import { readStatements, stillStand, type Trust } from './statements.ts';
import type { ImportStore } from './unreadable.ts';

export interface Site {
  readonly name: string;
  readonly registry: Registry;
}

/** Everything an import touches. */
export interface ImportPorts {
  readonly store: ImportStore;
  readonly trust: Trust;
  readonly ledger: ImporterLedger;
  /** The site that is imported into. */
  readonly home: Site & { readonly harbor: Harbor };
  /** Where replication brings it; every digest is compared at each. */
  readonly destinations: readonly Site[];
  readonly replicationPolicies: readonly string[];
  readonly replication: { readonly pollMs: number; readonly deadlineMs: number };
  readonly projects: { readonly create: boolean; readonly metadata: Readonly<Record<string, string>> };
  /** Undefined where no files are delivered. */
  readonly files: FileSite | undefined;
  readonly signer: Signer;
  /** Unix seconds, for the receipt only. */
  readonly seconds: () => number;
  readonly onEvent: (event: ImportEvent) => void;
}

export type RefusalCode = BundleCode | ImportCode;

/** What happens on the way, in order. */
export type ImportEvent =
  | { readonly stop: 'statements'; readonly channel: string; readonly sequence: number; readonly artifacts: number }
  | { readonly stop: 'project'; readonly project: string }
  | {
      readonly stop: 'blob';
      readonly repository: string;
      readonly digest: Digest;
      readonly size: number;
      readonly how: string;
    }
  | { readonly stop: 'bytes'; readonly bytes: number }
  | { readonly stop: 'artifact'; readonly artifact: string; readonly digest: Digest }
  | { readonly stop: 'tag'; readonly repository: string; readonly tag: string; readonly how: string }
  | { readonly stop: 'replication'; readonly policy: string; readonly execution: ReplicationExecution }
  | { readonly stop: 'proof'; readonly site: string; readonly artifact: string; readonly digest: Digest };

/** How a job ended. Without a receipt there is no bundle that one could be about. */
export type ImportOutcome =
  | { readonly result: 'imported'; readonly receipt: string }
  | {
      readonly result: 'refused';
      readonly code: RefusalCode;
      readonly detail: string;
      readonly receipt: string | undefined;
    }
  | { readonly result: 'failed'; readonly code: RegistryCode; readonly detail: string; readonly receipt: string };

/**
 * Stop 15, in its order: statements, contents, tags, replication, proof, receipt. Everything is done by digest and can be done again,
 * so a job that was cut off anywhere is simply begun anew. Throws OperationalError for what may succeed later.
 */
export async function importBundle(ports: ImportPorts, bundle: Digest): Promise<ImportOutcome> {
  const statements = await readStatements(ports.store, ports.trust, bundle);
  if (!statements.ok) return refusal(ports, statements.error.transport, statements.error);
  const { transport, release } = statements.value;
  const { channel, sequence } = transport.statement;
  const { artifacts } = release.statement;
  ports.onEvent({ stop: 'statements', channel, sequence, artifacts: artifacts.length });

  try {
    const plan = await makePlan(artifacts, ports.store, ports.files !== undefined);
    if (!plan.ok) return await refusal(ports, transport, plan.error);
    const delivery = await deliver(ports, plan.value);
    if (!delivery.ok) return await refusal(ports, transport, delivery.error);
    const still = stillStand(ports.trust, statements.value);
    if (!still.ok) return await refusal(ports, transport, still.error);
    const superseded = await publish(ports, delivery.value, { channel, sequence });
    if (plan.value.oci.length > 0) await replicateAll(ports);
    return await imported(ports, transport, delivery.value, superseded);
  } catch (error) {
    // The receiver looks into it, and has it come again: to wait here would help nobody.
    if (error instanceof OperationalError && error.code === 'store-missing')
      return refusal(ports, transport, { code: 'blob-missing', detail: error.message });
    if (!(error instanceof RegistryError) || error.failureClass !== 'fatal') throw error;
    const code = error.code as RegistryCode;
    const receipt = await receiptOf(ports, transport, { result: 'failed', code, artifacts: [] });
    return { result: 'failed', code, detail: error.message, receipt };
  }
}

async function imported(
  ports: ImportPorts,
  transport: VerifiedTransport,
  delivery: Delivery,
  superseded: ReadonlySet<string>,
): Promise<ImportOutcome> {
  const artifacts = await proveDelivery(ports, delivery, superseded);
  const receipt = await receiptOf(ports, transport, { result: 'imported', code: 'ok', artifacts });
  ports.ledger.recordImported(transport.id, transport.statement.channel, transport.statement.sequence);
  return { result: 'imported', receipt };
}

async function refusal(
  ports: ImportPorts,
  transport: VerifiedTransport | undefined,
  { code, detail }: { readonly code: RefusalCode; readonly detail: string },
): Promise<ImportOutcome> {
  const outcome = { result: 'refused' as const, code, artifacts: [] };
  const receipt = transport === undefined ? undefined : await receiptOf(ports, transport, outcome);
  return { result: 'refused', code, detail, receipt };
}

const receiptOf = (
  { store, signer, seconds }: ImportPorts,
  transport: VerifiedTransport,
  outcome: Pick<Receipt, 'result' | 'code' | 'artifacts'>,
): Promise<string> => issueReceipt(store, signer, transport, outcome, seconds());
