import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { readKeyFile } from '@sluice/base';
import { type ChannelPolicy, policiesFault, policyFault, type VerifyContext } from '@sluice/bundle';
import { type BlobStore, OperationalError } from '@sluice/ports';
import { openFsStore, openS3Store, readFsStore } from '@sluice/store';
import { loadVerifier, type PublicKey, sha256 } from '@sluice/trust';
import type { ChannelPolicyConfig, StoreConfig } from './sections.ts';

/** The store that the configuration names. The state directory, which no two daemons share, tells apart who writes to it. */
export async function openStore(config: StoreConfig, stateDirectory: string): Promise<BlobStore> {
  if (config.type === 'fs') {
    const writer = createHash('sha256').update(`${hostname()}\n${stateDirectory}`).digest('hex').slice(0, 16);
    return openFsStore(config.directory, writer);
  }
  const { endpoint, bucket, prefix, region } = config;
  const credentials = {
    accessKeyId: config.accessKeyIdFile.text(),
    secretAccessKey: config.secretAccessKeyFile.text(),
  };
  return openS3Store({ endpoint, bucket, prefix, region, credentials });
}

/** The same store for who only reads it: nothing of it is made, mended or removed. */
export function openStoreToRead(config: StoreConfig, stateDirectory: string): Promise<BlobStore> {
  return config.type === 'fs' ? Promise.resolve(readFsStore(config.directory)) : openStore(config, stateDirectory);
}

/** A public key file. @throws OperationalError `key-file`, naming the file */
export const readVerifier = (file: string): PublicKey => readKeyFile(file, loadVerifier);

/** Policy and keys of a channel. */
export type ChannelContext = Omit<VerifyContext, 'verifiers'> & { readonly verifiers: ReadonlyMap<string, PublicKey> };

/** Policy and keys of each channel, ready for `bundle`'s verification. @throws OperationalError `policy-fault`, `key-file` */
export function openChannels(channels: readonly ChannelPolicyConfig[]): ReadonlyMap<string, ChannelContext> {
  const contexts = new Map<string, ChannelContext>();
  for (const channel of channels) {
    const transport = channel.transportKeyFiles.map(readVerifier);
    const release = channel.releaseKeyFiles.map(readVerifier);
    const policy: ChannelPolicy = {
      channel: channel.name,
      transportKeys: transport.map(({ keyid }) => keyid),
      releaseKeys: release.map(({ keyid }) => keyid),
      releaseSignatures: channel.releaseSignatures,
      types: channel.types,
      repositories: channel.repositories,
      paths: channel.paths,
      maxBytes: channel.maxBytes,
      maxArtifacts: channel.maxArtifacts,
      versioned: channel.versioned,
    };
    const fault = contexts.has(channel.name) ? `channel ${channel.name} is there twice` : policyFault(policy);
    if (fault !== undefined) throw faulty(fault);
    const verifiers = new Map([...transport, ...release].map((verifier) => [verifier.keyid, verifier] as const));
    contexts.set(channel.name, { policy, verifiers, sha256 });
  }
  const fault = policiesFault([...contexts.values()].map(({ policy }) => policy));
  if (fault !== undefined) throw faulty(fault);
  return contexts;
}

const faulty = (fault: string): OperationalError =>
  new OperationalError('policy-fault', `${fault}; mend the channel's section`, { retryable: false });
