import { readFileSync } from 'node:fs';
import { parseEnvelope, parseReceipt, type Receipt, type ReleaseStatement } from '@sluice/bundle';
import { type BundleRecord, ReceiverLedger } from '@sluice/ledger';
import { type Digest, hostile, jsonText, terminalText } from '@sluice/ports';
import { loadVerifier } from '@sluice/trust';
import { parseArguments, RefusedError, UsageError } from '../arguments.ts';
import { say, sayJson } from '../say.ts';
import { optionsOf } from '../table.ts';
import { bundleOf, bundlesOf } from './find.ts';
import { anchorsOf, type CheckedSignature, releaseIn, signaturesOf, statementsOf } from './statements.ts';

/** Where a tag or a path points now, by the receipts of later bundles. */
interface Place {
  /** Repository with its tag, or path. */
  readonly target: string;
  /** The bundle that set it last: another than this one means that what entered is there no more under that name. */
  readonly now: string;
  readonly isCurrent: boolean;
}

interface Entered {
  readonly name: string;
  readonly type: string;
  readonly digest: Digest;
  /** Seen at each site after the import, by the importer's signed receipt. */
  readonly sites: readonly { readonly site: string; readonly digest: Digest }[];
  readonly places: readonly Place[];
}

export interface Impact {
  readonly bundle: Digest;
  readonly channel: string;
  readonly sequence: number;
  readonly name: string;
  readonly state: string;
  readonly received: string;
  readonly changed: string;
  readonly signatures: readonly (CheckedSignature & { readonly statement: string })[];
  /** False when the release is neither in the store nor in the quarantine: then its artifacts are those of the receipt. */
  readonly hasRelease: boolean;
  readonly artifacts: readonly Entered[];
}

const parse = (args: readonly string[]) => parseArguments(args, optionsOf('impact'));

type Values = ReturnType<typeof parse>['values'];

/** `sluice impact`: what entered by a key, a bundle or since a time, and where it is now. */
export function impact(args: readonly string[]): number {
  const { values, positionals } = parse(args);
  const given = [values.signer, values.bundle, values.since].filter((each) => each !== undefined);
  if (positionals.length > 0 || given.length !== 1)
    throw new UsageError('impact takes one of --signer KEYID-OR-FILE, --bundle BUNDLE, --since TIME');
  return ReceiverLedger.read(values.ledger, (ledger) => {
    const all = [...bundlesOf(ledger)].toReversed();
    const anchors = anchorsOf(ledger);
    const views = all.map((bundle) => viewOf(bundle, ledger, anchors, values));
    const current = currentPlaces(views);
    const found = chosen(views, all, ledger, values).map((view) => withPlaces(view, current));
    if (values.json === true) sayJson(JSON.stringify(found));
    else say(...inWords(found));
    return 0;
  });
}

/** A bundle before it is known who came after it. */
interface View extends Omit<Impact, 'artifacts'> {
  readonly artifacts: readonly (Omit<Entered, 'places'> & { readonly targets: readonly string[] })[];
  readonly isImported: boolean;
}

function viewOf(
  bundle: BundleRecord,
  ledger: ReceiverLedger,
  anchors: ReturnType<typeof anchorsOf>,
  places: Pick<Values, 'store' | 'quarantine'>,
): View {
  const statements = statementsOf(bundle, places);
  const receipt = receiptOf(ledger, bundle.id);
  const sitesOf = (digest: Digest): Entered['sites'] =>
    receipt?.artifacts.find((each) => each.digest === digest)?.sites ?? [];
  const release = releaseIn(statements);
  const artifacts =
    release?.artifacts.map(({ name, type, digest, target }) => ({
      ...{ name, type, digest, sites: sitesOf(digest) },
      targets:
        target.path === undefined
          ? (target.tags ?? []).map((tag) => `${target.repository ?? ''}:${tag}`)
          : [`file ${target.path}`],
    })) ?? receipt?.artifacts.map(({ name, digest, sites }) => ({ name, type: 'unknown', digest, sites, targets: [] }));
  return {
    ...{ bundle: bundle.id, channel: bundle.channel, sequence: bundle.sequence, name: nameOf(bundle, release) },
    ...{ state: bundle.state, received: time(bundle.firstSeen), changed: time(bundle.changed) },
    signatures: statements.flatMap(({ name, bytes }) =>
      signaturesOf(bytes, anchors).map((signature) => ({ ...signature, statement: name })),
    ),
    hasRelease: release !== undefined,
    artifacts: artifacts ?? [],
    isImported: bundle.state === 'imported',
  };
}

/** What the receiver let in has its name in the ledger; of what it refused the release itself may tell, which nobody vouches for. */
const nameOf = ({ name, state }: BundleRecord, release: ReleaseStatement | undefined): string =>
  jsonText(state === 'quarantined' && release !== undefined ? hostile(release.name) : name);

const time = (ms: number): string => new Date(ms).toISOString();

function receiptOf(ledger: ReceiverLedger, id: string): Receipt | undefined {
  const envelope = ledger.receipt(id);
  const parsed = envelope === undefined ? undefined : parseEnvelope(envelope);
  const read = parsed?.ok === true ? parseReceipt(parsed.value.payload) : undefined;
  return read?.ok === true ? read.value : undefined;
}

/** The last imported bundle that set each tag or path: the same channel's numbers decide, as the importer has it. */
function currentPlaces(views: readonly View[]): ReadonlyMap<string, View> {
  const current = new Map<string, View>();
  for (const view of views) {
    if (!view.isImported) continue;
    for (const { targets } of view.artifacts) for (const target of targets) current.set(target, view);
  }
  return current;
}

function withPlaces({ isImported: _, artifacts, ...view }: View, current: ReadonlyMap<string, View>): Impact {
  return {
    ...view,
    artifacts: artifacts.map(({ targets, ...artifact }) => ({
      ...artifact,
      places: targets.map((target) => {
        const holder = current.get(target);
        const now = holder === undefined ? 'nowhere' : `${holder.channel}/${String(holder.sequence)}`;
        return { target, now, isCurrent: holder?.bundle === view.bundle };
      }),
    })),
  };
}

function chosen(
  views: readonly View[],
  all: readonly BundleRecord[],
  ledger: ReceiverLedger,
  values: Values,
): readonly View[] {
  const { signer, bundle, since } = values;
  if (bundle !== undefined) {
    const found = bundleOf(ledger, bundle);
    if (found === undefined) throw new RefusedError(`the ledger has no bundle "${bundle}"`);
    return views.filter((view) => view.bundle === found.id);
  }
  if (signer !== undefined) {
    const keyid = /^[0-9a-f]{64}$/.test(signer) ? signer : loadVerifier(readFileSync(signer, 'utf8')).keyid;
    return views.filter((view) => view.signatures.some((signature) => signature.keyid === keyid));
  }
  const from = Date.parse(since ?? '');
  if (!Number.isFinite(from)) throw new UsageError('--since takes a time such as 2026-11-24T08:15:00Z');
  const late = new Set(all.filter(({ firstSeen }) => firstSeen >= from).map(({ id }) => id));
  return views.filter((view) => late.has(view.bundle));
}

function inWords(found: readonly Impact[]): string[] {
  if (found.length === 0) return ['nothing entered'];
  return found.flatMap(({ channel, sequence, bundle, name, state, received, signatures, hasRelease, artifacts }) => [
    `bundle      ${channel}/${String(sequence)} ${bundle} "${terminalText(hostile(name))}", ${state}, received ${received}`,
    ...signatures.map(
      ({ statement, keyid, roles, holds }) =>
        `signed      ${statement} by ${keyid} (${roles.join(', ')})${holds === true ? '' : holds === false ? ', which does not hold' : ', not checked'}`,
    ),
    ...(hasRelease ? [] : ['release     is neither in the store nor in the quarantine']),
    ...artifacts.flatMap((artifact) => [
      `artifact    ${artifact.type} ${artifact.name} ${artifact.digest}`,
      ...artifact.sites.map(({ site, digest }) => `at          ${site}: ${digest}`),
      ...artifact.places.map(({ target, now, isCurrent }) => `now         ${target}: ${isCurrent ? 'this one' : now}`),
    ]),
  ]);
}
