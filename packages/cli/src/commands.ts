import { fileURLToPath } from 'node:url';
import { collectGarbage } from '@sluice/base';
import { parseArguments, required } from './arguments.ts';
import { optionsOf } from './table.ts';

type Run = (args: readonly string[]) => Promise<number>;

/** What was freed on the C library's heaps goes back to the system (docs/adr/0011), where the native calls can be had. */
const giveBack = (): void => {
  void import('@sluice/udp').then(({ trimHeaps }) => trimHeaps()).catch(() => undefined);
};

/** Runs the daemon until it is told to stop; the process ends by its own shutdown. With --check it only says whether it could. */
const daemon =
  <M>(name: string, load: () => Promise<M>, run: (daemon: M, config: string) => Promise<void>): Run =>
  async (args) => {
    const { values } = parseArguments(args, optionsOf('sender'));
    if (values.check === true) return (await import('./check.ts')).checkDaemon(name, load, values.config);
    await run(await load(), required(values.config, 'config'));
    collectGarbage(undefined, giveBack);
    return 0;
  };

/** Prints a text that was made of the table. */
const prints =
  (make: (args: readonly string[]) => Promise<string>): Run =>
  async (args) => {
    process.stdout.write(await make(args));
    return 0;
  };

/** How to run this program again, for daemons that start another. */
const self = [process.execPath, ...process.execArgv, fileURLToPath(new URL('./main.ts', import.meta.url))];

/**
 * What each first word runs; what may follow it is in the table (`table.ts`). Each command loads what it needs when it is
 * called: `sluice link` loads no fastify.
 */
export const commands: Readonly<Record<string, Run>> = {
  sender: daemon(
    'sender',
    () => import('@sluice/sender'),
    ({ runSender }, config) => runSender(config),
  ),
  receiver: daemon(
    'receiver',
    () => import('@sluice/receiver'),
    ({ runReceiver }, config) => runReceiver(config, self),
  ),
  link: daemon(
    'link',
    () => import('@sluice/link'),
    ({ runLink }, config) => runLink(config),
  ),
  importer: daemon(
    'importer',
    () => import('@sluice/importer'),
    ({ runImporter }, config) => runImporter(config),
  ),
  release: async (args) => (await import('./release.ts')).release(args),
  submit: async (args) => (await import('./submit.ts')).submit(args),
  status: async (args) => (await import('./status.ts')).status(args),
  bundles: async (args) => (await import('./bundles.ts')).bundles(args),
  show: async (args) => (await import('./bundles.ts')).show(args),
  watch: async (args) => (await import('./watch.ts')).watch(args),
  pretty: async (args) => (await import('./pretty.ts')).pretty(args),
  ticket: async (args) => (await import('./ticket.ts')).ticket(args),
  repair: async (args) => (await import('./ticket.ts')).repair(args),
  policy: async (args) => (await import('./trust.ts')).policy(args),
  pause: async (args) => (await import('./control.ts')).pause(args),
  resume: async (args) => (await import('./control.ts')).resume(args),
  retry: async (args) => (await import('./control.ts')).retry(args),
  quarantine: async (args) => (await import('./control.ts')).quarantine(args),
  export: async (args) => (await import('./export.ts')).exportBundle(args),
  'import-media': async (args) => (await import('./import-media.ts')).importMedia(args),
  ledger: async (args) => (await import('./ledger.ts')).ledger(args),
  backup: async (args) => (await import('./backup.ts')).backup(args),
  restore: async (args) => (await import('./restore.ts')).restore(args),
  restored: async (args) => (await import('./restore.ts')).restored(args),
  'caught-up': async (args) => (await import('./restore.ts')).caughtUp(args),
  keys: async (args) => (await import('./keys.ts')).keys(args),
  plan: async (args) => (await import('./plan.ts')).plan(args),
  linktest: async (args) => (await import('./linktest.ts')).linktest(args),
  replay: async (args) => (await import('./replay.ts')).replay(args),
  doctor: async (args) => (await import('./doctor/index.ts')).doctor(args),
  chunklog: async (args) => (await import('./chunklog.ts')).chunklog(args),
  hold: async (args) => (await import('./chunklog.ts')).hold(args),
  case: async (args) => (await import('./case/case.ts')).caseFile(args),
  impact: async (args) => (await import('./case/impact.ts')).impact(args),
  config: async (args) => (await import('./config.ts')).config(args),
  help: prints(async (args) => {
    const { helpOf, usage } = await import('./help.ts');
    return `${args.length === 0 ? usage() : helpOf(args)}\n`;
  }),
  completion: prints(async ([shell]) => (await import('./completion.ts')).completion(shell)),
  man: prints(async () => (await import('./man.ts')).manPage()),
};
