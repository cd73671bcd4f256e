import { describeConfig, loadConfig, type Schema } from '@sluice/base';
import { UsageError } from './arguments.ts';

async function schemaOf(daemon: string | undefined): Promise<Schema<unknown>> {
  switch (daemon) {
    case 'sender':
      return (await import('@sluice/sender')).senderConfig;
    case 'receiver':
      return (await import('@sluice/receiver')).receiverConfig;
    case 'link':
      return (await import('@sluice/link')).linkConfig;
    case 'importer':
      return (await import('@sluice/importer')).importerConfig;
    default:
      throw new UsageError('config takes "check" or "reference", then sender, receiver, link or importer');
  }
}

/** `sluice config check DAEMON FILE` and `sluice config reference DAEMON`. */
export async function config([what, daemon, file]: readonly string[]): Promise<number> {
  if (what === 'reference') {
    process.stdout.write(`${describeConfig(await schemaOf(daemon))}\n`);
    return 0;
  }
  if (what !== 'check') throw new UsageError('config takes "check" or "reference"');
  if (file === undefined) throw new UsageError('config check takes a daemon and its file');
  loadConfig(file, await schemaOf(daemon));
  process.stdout.write(`${file}: good\n`);
  return 0;
}
