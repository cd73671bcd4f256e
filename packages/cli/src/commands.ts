import { fileURLToPath } from 'node:url';
import { parseArguments, required } from './arguments.ts';

export const USAGE = `usage: sluice COMMAND [OPTIONS]

daemons
  sender --config FILE            the staging side
  receiver --config FILE          the isolated side: verifies, publishes, queues
  link --config FILE              its wire-facing half; run by systemd or by the receiver
  importer --config FILE          the isolated side: Harbor, files, replication
  with --check, each says whether it could run here, and ends

releases
  release create --name NAME [--repository [PATH=]REPO]... [--approved-by NAME]... [--release-version NUMBER|now] PATH...
                                                                                    statement to standard output
  release sign --key FILE STATEMENT-OR-ENVELOPE                                     envelope to standard output
  release verify --key FILE... ENVELOPE
  submit [--socket PATH] [--channel NAME] [--release FILE] PATH...                  hand a bundle to the sender

recovery
  ticket [--socket PATH] [--out FILE] [--qr] [--yes] [BUNDLE]    isolated side: shows what lacks of a bundle, and signs a ticket for it
  repair [--socket PATH] FILE                                   staging side: sends what a ticket asks for; - for standard input

keys
  keys generate --out PREFIX [--algorithm Ed25519|ECDSA-P256|ECDSA-P384]            PREFIX.key.pem, PREFIX.pub.pem
  keys link --out FILE                                                              a link key; prints its id
  keys id FILE                                                                      the id of a key in a file
  keys list [--socket PATH]...                                                      keys that are believed, what for, and those that are not
  keys revoke --reason TEXT [--socket PATH]... KEY                                  isolated side: for good, at once; lists what it had signed
  keys signed [--socket PATH] KEY                                                   isolated side: lists what a key signed
  keys switch --reason TEXT [--socket PATH] CHANNEL                                 staging side: goes on with the channel's other link key
  policy create SOURCE                                                              statement to standard output
  policy sign --key FILE STATEMENT-OR-ENVELOPE                                      envelope to standard output
  policy show ENVELOPE                                                              what it says, and its digest
  policy adopt --reason TEXT [--digest DIGEST] [--socket PATH]... ENVELOPE          isolated side: believes the keys in it

control (isolated side)
  pause --reason TEXT [--socket PATH]                            holds imports back, also over a restart
  resume --reason TEXT [--socket PATH]
  quarantine list [--socket PATH]
  quarantine show [--socket PATH] BUNDLE
  quarantine retry --reason TEXT [--socket PATH] BUNDLE          judges it anew, by the keys and policy of now

incidents
  replay --keys FILE [--out DIR] [--port PORT] [--json] LOG...   feed chunk logs or captures through the receiver's machines;
                                                                 status 0 when everything in them came out whole

configuration
  doctor sender|receiver [--json] [--quiet] [--strict] [--etc DIR]                   what of this host is not as it must be, and what mends it
         [--interface IFACE] [--rate 500Mbit/s] [--pause 1s] [--sender-config DIGEST]
  config check sender|receiver|link|importer FILE
  config reference sender|receiver|link|importer`;

/** Runs the daemon until it is told to stop; the process ends by its own shutdown. With --check it only says whether it could. */
const daemon =
  <M>(name: string, load: () => Promise<M>, run: (daemon: M, config: string) => Promise<void>) =>
  async (args: readonly string[]): Promise<number> => {
    const { values } = parseArguments(args, { config: { type: 'string' }, check: { type: 'boolean' } });
    if (values.check === true) return (await import('./check.ts')).checkDaemon(name, load, values.config);
    await run(await load(), required(values.config, 'config'));
    return 0;
  };

/** How to run this program again, for daemons that start another. */
const self = [process.execPath, ...process.execArgv, fileURLToPath(new URL('./main.ts', import.meta.url))];

/** Each command loads what it needs when it is called: `sluice link` loads no fastify. */
export const commands: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
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
  ticket: async (args) => (await import('./ticket.ts')).ticket(args),
  repair: async (args) => (await import('./ticket.ts')).repair(args),
  policy: async (args) => (await import('./trust.ts')).policy(args),
  pause: async (args) => (await import('./control.ts')).pause(args),
  resume: async (args) => (await import('./control.ts')).resume(args),
  quarantine: async (args) => (await import('./control.ts')).quarantine(args),
  keys: async (args) => (await import('./keys.ts')).keys(args),
  replay: async (args) => (await import('./replay.ts')).replay(args),
  doctor: async (args) => (await import('./doctor/index.ts')).doctor(args),
  config: async (args) => (await import('./config.ts')).config(args),
};
