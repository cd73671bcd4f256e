import { describeConfig, jsonSchemaOf, loadConfig, type Schema } from '@sluice/base';
import { UsageError } from './arguments.ts';
import { sayJson } from './say.ts';

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
      throw new UsageError('config takes "check", "reference" or "schema", then sender, receiver, link or importer');
  }
}

/** `sluice config check DAEMON FILE`, `sluice config reference DAEMON` and `sluice config schema DAEMON`. */
export async function config([what, daemon, file]: readonly string[]): Promise<number> {
  if (what === 'reference') {
    process.stdout.write(`${describeConfig(await schemaOf(daemon))}\n`);
    return 0;
  }
  if (what === 'schema') {
    sayJson(JSON.stringify(jsonSchemaOf(await schemaOf(daemon)), undefined, 2));
    return 0;
  }
  if (what !== 'check') throw new UsageError('config takes "check", "reference" or "schema"');
  if (file === undefined) throw new UsageError('config check takes a daemon and its file');
  loadConfig(file, await schemaOf(daemon));
  process.stdout.write(`${file}: good\n`);
  return 0;
}
