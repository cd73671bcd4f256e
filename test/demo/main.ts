// `pnpm demo`: the main job, end to end. Everything runs as processes of their own in one temporary directory.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { missing } from '../harbor/needs.ts';
import { freePort, getJson, NODE_RELAY, Program, until } from '../world/processes.ts';
import { type BundleView, World } from '../world/world.ts';
import { type DemoInput, makeInput } from './input.ts';
import { delivered, fileDigest, layoutDigest, pull, siteDigest, type Site } from './proof.ts';

const LOSS = '0.03';
const DUPLICATE = '0.01';
const REORDER = '0.02';
/** The demo promises this much repair at most, over the source symbols of the whole run. */
const REPAIR_LIMIT = 0.12;
const IMPORT_DEADLINE_MS = 90_000;

const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== '--'),
  options: { keep: { type: 'boolean', default: false } },
});
const absent = missing('redis-server', 'docker-registry', 'skopeo', 'umoci');
if (absent !== undefined) {
  console.error(`demo: ${absent} is not installed; as root run deploy/prerequisites.sh`);
  process.exit(1);
}

const dir = mkdtempSync(join(tmpdir(), 'sluice-demo-'));
const started = performance.now();
let stop = 'preparing the input';
let world: World | undefined;
let relay: Program | undefined;

const say = (text: string): void => {
  console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s  ${text}`);
};

async function cleanUp(): Promise<void> {
  await relay?.stop();
  await world?.stop();
  rmSync(dir, { recursive: true, force: true });
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.log(`demo: ${signal}, cleaning up`);
    void cleanUp().finally(() => process.exit(130));
  });
}

/** Both sides' progress, a line whenever it changes. */
async function watch(sequence: number, w: World): Promise<BundleView> {
  let shown = '';
  return until('the bundle to be imported', IMPORT_DEADLINE_MS, async () => {
    const sent = await getJson<{
      items: { sequence: number; progress?: { sentBytes: number; totalBytes: number }; passesDone: number }[];
    }>(w.url('sender', '/v1/bundles'));
    const ours = sent?.items.find((item) => item.sequence === sequence);
    const bundle = (await w.bundles()).find((each) => each.sequence === sequence);
    const { progress } = ours ?? {};
    const left =
      (ours?.passesDone ?? 0) > 0
        ? 100
        : progress === undefined
          ? 0
          : Math.floor((progress.sentBytes / progress.totalBytes) * 100);
    const line = `sender: sent ${String(left)} % of pass ${String(Math.max(1, ours?.passesDone ?? 1))}   receiver: ${bundle?.state ?? 'waiting'}`;
    if (line !== shown) say(line);
    shown = line;
    if (bundle?.state === 'quarantined' || bundle?.state === 'failed') {
      throw new Error(`the bundle was ${bundle.state}: ${bundle.code} ${bundle.detail}`);
    }
    return bundle?.state === 'imported' ? bundle : undefined;
  });
}

/** Compares every artifact's digest at both sites, as skopeo and sha256sum see it. */
function prove(input: DemoInput, w: World): { readonly good: number; readonly all: number } {
  const site = (name: string, port: number): Site => ({
    name,
    host: `127.0.0.1:${String(port)}`,
    credentials: 'admin:Harbor12345',
  });
  const [a, b] = [site('a', w.ports.harborA), site('b', w.ports.harborB)];
  let good = 0;
  for (const { repository, tag, layout } of input.images) {
    const wanted = layoutDigest(layout, tag);
    const seen = [
      siteDigest(a, repository, tag),
      siteDigest(b, repository, tag),
      pull(b, repository, tag, join(dir, 'pulled', repository)),
    ];
    const equal = seen.every((digest) => digest === wanted);
    say(
      `${repository}:${tag} ${wanted} ${equal ? 'equal at site A, at site B, and as pulled from B' : `differs: ${seen.join(' ')}`}`,
    );
    if (equal) good += 1;
  }
  for (const { path, name } of input.files) {
    const equal = fileDigest(path) === delivered(join(dir, 'files'), name);
    say(`${name} ${fileDigest(path)} ${equal ? 'equal where it was delivered' : 'differs'}`);
    if (equal) good += 1;
  }
  return { good, all: input.images.length + input.files.length };
}

interface LinkNumbers {
  readonly link: { readonly numbers: Record<string, number>; readonly verdicts: Record<string, number> };
}
interface SenderNumbers {
  readonly transmit: { readonly counters: { sourceSymbols: number; repairSymbols: number; datagrams: number } };
}

/** Loss seen, symbols recovered, overhead, passes, goodput. */
async function figures(w: World, bundle: BundleView & { readonly bytes?: number }, seconds: number): Promise<number> {
  const receiver = await getJson<LinkNumbers>(w.url('receiver', '/v1/status'));
  const sender = await getJson<SenderNumbers>(w.url('sender', '/v1/status'));
  const passes = await getJson<{ items: { sequence: number; passesDone: number }[] }>(w.url('sender', '/v1/bundles'));
  const { numbers, verdicts } = receiver?.link ?? { numbers: {}, verdicts: {} };
  const { sourceSymbols = 0, repairSymbols = 0, datagrams = 0 } = sender?.transmit.counters ?? {};
  const used = passes?.items.find(({ sequence }) => sequence === bundle.sequence)?.passesDone ?? 0;
  const overhead = sourceSymbols === 0 ? 0 : repairSymbols / sourceSymbols;
  say(
    `datagrams sent ${String(datagrams)}, lost on the link ${String(numbers.lost)}, duplicates and replays refused ${String(verdicts.replayed ?? 0)}`,
  );
  say(
    `source symbols recovered ${String(numbers.recoveredSymbols)}, repair overhead ${(overhead * 100).toFixed(1)} %, passes used ${String(Math.max(1, used))}`,
  );
  say(
    `goodput ${(((bundle.bytes ?? 0) * 8) / seconds / 1e6).toFixed(0)} Mb/s from submit to import at both sites (link ceiling 200 Mb/s)`,
  );
  return overhead;
}

async function demo(): Promise<string> {
  say(`working in ${dir}`);
  const input = makeInput(join(dir, 'made'));
  stop = 'starting Redis, registries and daemons';
  const [linkPort, relayPort] = [await freePort(), await freePort()];
  world = await World.create({
    dir,
    linkPort,
    sendTo: { host: '127.0.0.1', port: relayPort },
    tune: ({ sender }) => {
      sender.carousel = { passes: 2, gap: '10min' };
    },
  });
  const relayArguments = [
    '--listen',
    String(relayPort),
    '--to',
    String(linkPort),
    '--loss',
    LOSS,
    '--duplicate',
    DUPLICATE,
  ];
  relay = new Program(
    'relay',
    [...NODE_RELAY, ...relayArguments, '--reorder', REORDER, '--distance', '100', '--seed', '7'],
    join(dir, 'logs/relay.log'),
  );
  await world.startServices();
  await world.startDaemons();
  for (const daemon of ['sender', 'receiver', 'importer'] as const)
    say(`${daemon} status: ${world.url(daemon, daemon === 'importer' ? '/v1/status' : '/')}`);
  stop = '1 collect, 2 seal';
  const release = world.release('demo', input.paths, ['release'], input.repositories);
  const submitted = performance.now();
  const { sequence, bundle: id } = world.submit(release, input.paths);
  say(`submitted: bundle ${id}, sequence ${String(sequence)}`);
  stop = '3 slice to 15 import';
  const bundle = await watch(sequence, world);
  const seconds = (performance.now() - submitted) / 1000;
  stop = 'comparing digests';
  const overhead = await figures(world, bundle, seconds);
  const { good, all } = prove(input, world);
  if (overhead > REPAIR_LIMIT)
    throw new Error(`repair overhead ${overhead.toFixed(3)} is more than ${String(REPAIR_LIMIT)}`);
  const verdict = `demo: ${String(good)} of ${String(all)} artifacts delivered, verified at site A and site B`;
  if (good < all) throw new Error(verdict);
  return verdict;
}

try {
  const verdict = await demo();
  if (values.keep) {
    say(
      `left running in ${dir}; replay with: pnpm sluice replay --keys ${join(dir, 'replay-keys.json')} ${join(dir, 'chunks')}/*.pcapng`,
    );
    say('Ctrl-C ends and cleans up');
    console.log(verdict);
    await new Promise(() => setInterval(() => undefined, 60_000));
  }
  await cleanUp();
  console.log(verdict);
} catch (error) {
  console.error(`demo: failed at "${stop}": ${error instanceof Error ? error.message : String(error)}`);
  await relay?.stop();
  await world?.stop();
  console.error(`demo: logs are kept in ${join(dir, 'logs')}`);
  process.exitCode = 1;
}
