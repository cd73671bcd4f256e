import { readFileSync } from 'node:fs';
import { textOfConfig } from '@sluice/base';
import type { ReceiverLedger } from '@sluice/ledger';
import type { Anchors } from '@sluice/policy';
import type { Digest, ReceiverToLink } from '@sluice/ports';
import type { ReceiverConfig } from '../config.ts';
import { digestOf } from './index-file.ts';

/** Under what datagrams are received: each chunk log names it, and the ledger has what the digests stand for. */
export type Under = ReceiverToLink & { readonly type: 'under' };

export interface ContextParts {
  readonly anchors: Anchors;
  readonly ledger: ReceiverLedger;
  readonly toLink: (message: ReceiverToLink) => void;
}

/**
 * Keeps configuration, trust anchors and policy in the ledger's archive, as they are now and after each change, of which link
 * is told. Secrets are not among them. Gives what link is told when it connects.
 */
export function followContext(config: ReceiverConfig, { anchors, ledger, toLink }: ContextParts): () => Under {
  const importers = config.importerKeyFiles.map((file) => readFileSync(file, 'utf8'));
  const archived = (kind: string, text: string): Digest => {
    const digest = digestOf(Buffer.from(text));
    ledger.archive.put(digest, kind, text);
    return digest;
  };
  const now = (): Under => {
    const configuration = archived('config', textOfConfig(config));
    const trust = archived('trust', JSON.stringify({ ...trustOf(anchors, ledger), importers }));
    return { type: 'under', config: configuration, trust, policy: archived('policy', policyOf(anchors)) };
  };
  let under = now();
  anchors.onChange(() => {
    under = now();
    toLink(under);
  });
  return () => under;
}

/** The keys that count by channel and role, with what was taken away. */
function trustOf(anchors: Anchors, ledger: ReceiverLedger) {
  const channels = [...anchors.values()].map(({ policy, verifiers }) => {
    const pems = (ids: readonly string[]): string[] => ids.flatMap((id) => verifiers.get(id)?.pem ?? []);
    const { channel, transportKeys, releaseKeys, roles = [] } = policy;
    return {
      ...{ channel, transport: pems(transportKeys), release: pems(releaseKeys) },
      roles: roles.map(({ role, keys }) => ({ role, keys: pems(keys) })),
    };
  });
  return { channels, policy: anchors.policy?.digest ?? null, revoked: [...ledger.trust.revoked()].toSorted() };
}

/** What is let in, and by how many signatures of which keys. */
const policyOf = (anchors: Anchors): string =>
  JSON.stringify([...anchors.values()].map(({ policy: { revoked: _, ...policy } }) => policy));
