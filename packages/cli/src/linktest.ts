import { readFileSync } from 'node:fs';
import { EXIT } from '@sluice/base';
import { makeLinkKey, openTagAccelerator, parseLinkKey } from '@sluice/trust';
import type { LinkKey } from '@sluice/ports';
import type { LinkIo } from '@sluice/udp';
import { parseArguments, RefusedError, required, UsageError } from './arguments.ts';
import { type Advice, advise } from './linktest/advise.ts';
import { Listener } from './linktest/receive.ts';
import { sendProbes, type SentStep } from './linktest/send.ts';
import type { SeenStep } from './linktest/tally.ts';
import { profileOf } from './plan.ts';
import { amountOf } from './progress.ts';
import { rateOf, sizeOf, timeOf, wholeOf } from './quantities.ts';
import { say, sayJson, tell } from './say.ts';
import { optionsOf } from './table.ts';
import { columns } from './words.ts';

/** A channel that no configuration has: what it brings is nobody's. */
const CHANNEL = 'linktest';

/** `sluice linktest send|receive`: a sweep of rates over the link, one way. */
export async function linktest([what, ...args]: readonly string[]): Promise<number> {
  if (what === 'send') return send(args);
  if (what === 'receive') return receive(args);
  throw new UsageError('linktest takes "send" (staging side) or "receive" (isolated side)');
}

async function keyOf(file: string, asid: string, io: string): Promise<LinkKey> {
  const { accelerate } = await openTagAccelerator(ioOf(io) === 'portable' ? 'portable' : 'native');
  const key = parseLinkKey(readFileSync(file, 'utf8').trim());
  return makeLinkKey(
    { asid: wholeOf(asid, 'asid', 0, 15), channel: CHANNEL, algorithm: 'HMAC-SHA-256-128', key },
    accelerate,
  );
}

function ioOf(text: string): LinkIo {
  if (text === 'auto' || text === 'native' || text === 'portable') return text;
  throw new UsageError('--io is one of auto, native, portable');
}

async function send(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('linktest send'));
  const [to] = positionals;
  const [, host = '', port = ''] = /^([^:\s]+):(\d{1,5})$/.exec(to ?? '') ?? [];
  if (host === '' || positionals.length > 1)
    throw new UsageError('linktest send takes the address of the receiving end, such as 192.168.7.2:4434');
  const rates = values.rates.split(',').map((rate) => rateOf(rate.trim(), 'rates'));
  const steps: SentStep[] = [];
  const options = {
    ...{ host, port: wholeOf(port, 'port', 1, 65_535), io: ioOf(values.io) },
    key: await keyOf(required(values.key, 'key'), values.asid, values.io),
    rates: rates.filter((rate) => rate > 0),
    ...{ stepMs: timeOf(values.step, 'step'), gapMs: 1000 },
    symbolBytes: wholeOf(values.symbol, 'symbol', 64, 8896),
    profile: profileOf(values.fec),
    outageMs: 0,
  };
  for await (const step of sendProbes(options)) {
    steps.push(step);
    if (values.json === true) continue;
    const late = step.stalledSeconds > 0.05 * step.seconds ? ', which is all that this host can do' : '';
    say(
      `${amountOf(step.rate, 'bit/s')}: sent ${String(step.datagrams)} datagrams at ${amountOf(step.bitsPerSecond, 'bit/s')}${late}`,
    );
  }
  if (values.json === true) sayJson(JSON.stringify({ steps }));
  return EXIT.ok;
}

async function receive(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('linktest receive'));
  if (positionals.length > 0) throw new UsageError('linktest receive takes options only');
  const stop = new AbortController();
  const end = (): void => {
    stop.abort();
  };
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  const listener = new Listener({
    ...{ host: values.host, port: wholeOf(values.port, 'port', 0, 65_535), io: ioOf(values.io) },
    receiveBuffer: sizeOf(values.buffer, 'buffer'),
    key: await keyOf(required(values.key, 'key'), values.asid, values.io),
    quietMs: timeOf(values.quiet, 'quiet'),
    signal: stop.signal,
    onListening: (port, buffer) => {
      tell(`listening on port ${String(port)}, receive buffer ${amountOf(buffer, 'B')}; begin "linktest send" now`);
    },
    onStep: (step) => {
      if (values.json !== true) tell(`${amountOf(step.bitsPerSecond, 'bit/s')}: ${lossOf(step)}`);
    },
  });
  const { steps, symbolBytes, io } = await listener.run();
  process.removeListener('SIGINT', end);
  process.removeListener('SIGTERM', end);
  if (steps.length === 0)
    throw new RefusedError(
      'nothing of a link test came: is the key the same on both sides, the address that of the diode interface, the port open?',
    );
  const advice = advise(steps, symbolBytes);
  if (values.json === true) sayJson(JSON.stringify({ io, symbolBytes, steps, advice }));
  else say(...reportOf(steps, advice));
  return EXIT.ok;
}

const lossOf = ({ loss, lost, longestBurst }: SeenStep): string =>
  lost === 0 ? 'nothing lost' : `${(loss * 100).toFixed(3)} % lost, at most ${String(longestBurst)} in a row`;

function reportOf(steps: readonly SeenStep[], advice: Advice): string[] {
  const rows = steps.map((step) => [
    step.received === 0 ? 'nothing came' : amountOf(step.bitsPerSecond, 'bit/s'),
    String(step.received),
    String(step.lost),
    `${(step.loss * 100).toFixed(3)} %`,
    String(step.bursts),
    step.meanBurst.toFixed(1),
    `${String(step.longestBurst)} (${step.longestBurstMs.toFixed(2)} ms)`,
    String(step.kernelDrops),
    String(step.reordered),
    `${String(step.blocksWhole)} of ${String(step.blocks)}`,
  ]);
  const head = [
    'rate',
    'came',
    'lost',
    'share',
    'bursts',
    'mean',
    'longest',
    'kernel drops',
    'reordered',
    'blocks whole',
  ];
  const { bitsPerSecond = 0, profile, outageMs, failure, notes } = advice;
  const fec = profile.includes('+')
    ? `{ "profile": "explicit", "maxBlock": ${profile.split('+').join(', "repair": ')} }`
    : `{ "profile": "${profile}" }`;
  return [
    ...columns([head, ...rows]),
    '',
    'for sender.json, section "link":',
    `  "rate": "${String(Math.floor(bitsPerSecond / 1e6))}Mbit/s", "outageSurvived": "${String(outageMs)}ms", "fec": ${fec}`,
    `  a bundle of 20 GB is then not whole after its first pass with a probability of ${failure.toExponential(1)}, at three times the loss seen`,
    ...notes.map((each) => `note: ${each}`),
  ];
}
