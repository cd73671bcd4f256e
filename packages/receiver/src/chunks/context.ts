import { readFileSync } from 'node:fs';
import { digestOfConfig, textOfConfig } from '@sluice/base';
import type { ReceiverLedger } from '@sluice/ledger';
import type { Digest } from '@sluice/ports';
import type { ReceiverConfig } from '../config.ts';
import { digestOf } from './index-file.ts';

/** Under what datagrams are received: each chunk log names it, and the ledger has what the digests stand for. */
export interface Context {
  readonly config: Digest;
  readonly trust: Digest;
  readonly policy: Digest;
}

/** Puts configuration, trust anchors and policy into the ledger's archive. Secrets are not among them. */
export function archiveContext(config: ReceiverConfig, ledger: ReceiverLedger): Context {
  const anchors = config.channels.map(({ name, transportKeyFiles, releaseKeyFiles }) => ({
    channel: name,
    transport: transportKeyFiles.map((file) => readFileSync(file, 'utf8')),
    release: releaseKeyFiles.map((file) => readFileSync(file, 'utf8')),
  }));
  const importers = config.importerKeyFiles.map((file) => readFileSync(file, 'utf8'));
  const trust = JSON.stringify({ channels: anchors, importers });
  const policy = textOfConfig(config.channels);
  const context = {
    config: digestOfConfig(config),
    trust: digestOf(Buffer.from(trust)),
    policy: digestOfConfig(config.channels),
  };
  ledger.archive.put(context.config, 'config', textOfConfig(config));
  ledger.archive.put(context.trust, 'trust', trust);
  ledger.archive.put(context.policy, 'policy', policy);
  return context;
}
