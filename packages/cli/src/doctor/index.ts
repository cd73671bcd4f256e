import { duration, EXIT, object, parseConfig, rate } from '@sluice/base';
import { parseArguments, UsageError } from '../arguments.ts';
import { say, sayJson } from '../say.ts';
import { optionsOf } from '../table.ts';
import { countLevels, type Finding, inWords } from './finding.ts';

const needs = object('what the link needs', {
  rate: rate('of the link, in Ethernet bits per second'),
  pause: duration('longest time in which link takes nothing'),
});

/**
 * `sluice doctor sender|receiver`: what of this host is not as it must be. Status 0 when nothing is wrong, 1 when something is;
 * with --strict also when something is to be looked at.
 */
export async function doctor(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('doctor'));
  const [side, ...more] = positionals;
  if ((side !== 'sender' && side !== 'receiver') || more.length > 0)
    throw new UsageError('doctor takes "sender" or "receiver"');
  const findings = await examine(side, values);
  const counts = countLevels(findings);
  const shown = values.quiet === true ? findings.filter(({ level }) => level === 'warn' || level === 'fail') : findings;
  if (values.json === true) sayJson(JSON.stringify({ side, counts, findings: shown }));
  else if (shown.length > 0) say(...inWords(shown));
  return counts.fail > 0 || (values.strict === true && counts.warn > 0) ? EXIT.failed : EXIT.ok;
}

interface Values {
  readonly etc: string;
  readonly interface?: string | undefined;
  readonly rate: string;
  readonly pause: string;
  readonly 'sender-config'?: string | undefined;
}

async function examine(side: 'sender' | 'receiver', values: Values): Promise<Finding[]> {
  const { etc, interface: name, rate: bits, pause, 'sender-config': senderConfig } = values;
  if (side === 'sender') return (await import('./sender.ts')).examineSender({ etc });
  const wanted = parseConfig(JSON.stringify({ rate: bits, pause }), needs, { file: 'doctor' });
  return (await import('./receiver.ts')).examineReceiver({
    ...{ etc, rate: wanted.rate, pause: wanted.pause },
    ...(name === undefined ? {} : { interface: name }),
    ...(senderConfig === undefined ? {} : { senderConfig }),
  });
}
