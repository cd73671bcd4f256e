import { parentPort, workerData } from 'node:worker_threads';
import { collectGarbage } from '@sluice/base';
import { ENVELOPE_BYTES, parseEnvelope, parseRelease } from '@sluice/bundle';
import { type Digest, ok, OperationalError, refuse, type Result } from '@sluice/ports';
import {
  collect,
  type Location,
  readRelease,
  Reception,
  Root,
  type Scan,
  scanDirectory,
  scanListed,
  type Submission,
} from '@sluice/sources';
import { openStaging } from '@sluice/store';
import type { CollectedInput, IntakeAnswer, IntakeCall, IntakeCalls, IntakeOptions } from './messages.ts';

// The thread in which inputs are read, hashed and staged, with calls that block: the main thread goes on with heartbeats, HTTP and ledger.

const { storeRoot, limits } = workerData as IntakeOptions;
const port = parentPort;
if (port === null) throw new Error('inputs are taken in by a worker thread');

const staging = openStaging(storeRoot, 'intake');
const receptions = new Map<string, Reception>();
/** What came as a stream, until it is collected: known without another look, and hashed. */
const received = new Map<string, readonly Location[]>();
/** The staging store is for one at a time. */
let turn: Promise<unknown> = Promise.resolve();

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const next = turn.then(work);
  turn = next.catch(() => undefined);
  return next;
}

function answerTo(call: IntakeCall): unknown {
  switch (call.name) {
    case 'begin':
      receptions.set(call.ask.id, Reception.begin(call.ask.places, limits));
      return undefined;
    case 'bytes':
      return receptionOf(call.ask.id).push(call.ask.bytes);
    case 'end':
      return finish(call.ask.id);
    case 'abandon':
      receptions.get(call.ask.id)?.[Symbol.dispose]();
      receptions.delete(call.ask.id);
      return undefined;
    case 'collect':
      return inTurn(() => collectInput(call.ask));
    case 'missing':
      return inTurn(() => Promise.resolve(missing(call.ask)));
  }
}

function receptionOf(id: string): Reception {
  const reception = receptions.get(id);
  if (reception === undefined) throw new Error(`no submission ${id}`);
  return reception;
}

async function finish(id: string): Promise<Result<undefined>> {
  using reception = receptionOf(id);
  receptions.delete(id);
  const files = await reception.finish();
  if (!files.ok) return files;
  received.set(id, files.value);
  return ok(undefined);
}

/** Stop 1: scan, release, closures, content; durable when it is done. */
async function collectInput({ id, home, directory, archive }: Submission): Promise<Result<CollectedInput>> {
  const files = received.get(id);
  received.delete(id);
  const scanned =
    files === undefined
      ? await scanDirectory(directory, limits, archive)
      : await scanListed(Root.open(directory, archive), files, limits);
  if (!scanned.ok) return scanned;
  try {
    return await collectScanned(scanned.value, home);
  } catch (error) {
    if (!(error instanceof OperationalError) || error.code !== 'store-digest-mismatch') throw error;
    return refuse(
      'digest-mismatch',
      'A file of the bundle was written to while it was taken in; rename a bundle into the inbox only once it is complete.',
    );
  } finally {
    staging.discard();
    scanned.value.root.close();
  }
}

async function collectScanned(scan: Scan, home: string): Promise<Result<CollectedInput>> {
  const envelope = await readRelease(scan, ENVELOPE_BYTES);
  if (!envelope.ok) return envelope;
  const opened = parseEnvelope(envelope.value);
  if (!opened.ok) return opened;
  const release = parseRelease(opened.value.payload);
  if (!release.ok) return release;
  const canMove = staging.canTakeFrom(home);
  const collected = await collect(scan, release.value.artifacts, staging, { bundleBytes: limits.bytes, canMove });
  if (!collected.ok) return collected;
  const digest = await staging.add(envelope.value);
  await staging.commit();
  const { name } = release.value;
  return ok({ name, release: { digest, size: envelope.value.length }, ...collected.value });
}

const missing = (objects: IntakeCalls['missing']['ask']): readonly Digest[] =>
  objects.filter(({ digest, size }) => !staging.holds(digest, size)).map(({ digest }) => digest);

port.on('message', (call: IntakeCall) => {
  // What is no failure of the world is a mistake of ours: the rejection ends this thread, and with it the process.
  void answer(call);
});

async function answer(call: IntakeCall): Promise<void> {
  try {
    tell({ call: call.call, answer: await answerTo(call) });
  } catch (error) {
    if (!(error instanceof OperationalError)) throw error;
    const { code, message, retryable } = error;
    tell({ call: call.call, failure: { code, message, retryable } });
  }
}

function tell(message: IntakeAnswer): void {
  port?.postMessage(message);
}
collectGarbage();
