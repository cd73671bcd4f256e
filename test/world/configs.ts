import { join } from 'node:path';
import type { Ports } from './world.ts';

export type Daemon = 'sender' | 'receiver' | 'importer';

/** Configurations as they go into the files; the daemons' own schemas check them. */
export type DaemonConfigs = ReturnType<typeof daemonConfigs>;

/** The channel's policy, the same for receiver and importer. */
const policyOf = (dir: string) => ({
  name: 'prod',
  transportKeyFiles: [join(dir, 'keys/transport.pub.pem')],
  releaseKeyFiles: [join(dir, 'keys/release.pub.pem')],
  releaseSignatures: 1,
  types: ['image', 'chart', 'cve-db', 'file'],
  repositories: ['**'],
  paths: ['**'],
  maxBytes: '4GiB',
  maxArtifacts: 200_000,
});

/** How datagrams leave and come in every test that does not say it itself: `SLUICE_TEST_IO=portable` has no native code in any daemon. */
const IO = process.env.SLUICE_TEST_IO ?? 'auto';

/** A pair that speaks over loopback, everything below `dir`. */
export function daemonConfigs(dir: string, ports: Ports, sendTo: { readonly host: string; readonly port: number }) {
  const site = (port: number): string => `http://127.0.0.1:${String(port)}`;
  const account = { username: 'admin', passwordFile: join(dir, 'keys/harbor.password') };
  const store = { type: 'fs', directory: join(dir, 'store') };
  const redis: { url: string } & Record<string, unknown> = { url: `redis://127.0.0.1:${String(ports.redis)}` };
  return {
    sender: {
      stateDirectory: join(dir, 'sender'),
      refusedDirectory: join(dir, 'refused'),
      controlSocket: join(dir, 'sockets/sender.sock'),
      http: { port: ports.senderHttp },
      link: { ...sendTo, rate: '200Mbit/s', io: IO } as Record<string, unknown>,
      carousel: { passes: 2, gap: '5s' },
      channels: [
        {
          name: 'prod',
          asid: 0,
          linkKeyFile: join(dir, 'keys/link.key'),
          transportKeyFile: join(dir, 'keys/transport.key.pem'),
          inbox: join(dir, 'inbox'),
        } as Record<string, unknown>,
      ],
    },
    receiver: {
      stateDirectory: join(dir, 'receiver'),
      quarantineDirectory: join(dir, 'quarantine'),
      linkSocket: join(dir, 'sockets/link.sock'),
      link: { config: join(dir, 'link.json'), host: '0.0.0.0', port: ports.link },
      http: { port: ports.receiverHttp },
      channels: [policyOf(dir)],
      store: store as Record<string, unknown>,
      redis,
      importerKeyFiles: [join(dir, 'keys/receipt.pub.pem')],
    },
    link: {
      listen: { port: ports.link },
      io: IO,
      keys: [{ asid: 0, channel: 'prod', keyFile: join(dir, 'keys/link.key') }],
      spoolDirectory: join(dir, 'spool'),
      stateDirectory: join(dir, 'link'),
      receiverSocket: join(dir, 'sockets/link.sock'),
      chunkLog: { mode: 'full', directory: join(dir, 'chunks') },
    },
    importer: {
      stateDirectory: join(dir, 'importer'),
      http: { port: ports.importerHttp },
      channels: [policyOf(dir)],
      store: store as Record<string, unknown>,
      redis,
      harbor: { site: 'a', url: site(ports.harborA), ...account },
      sites: [{ name: 'b', url: site(ports.harborB), ...account }],
      replicationPolicies: ['to-b'],
      replicationPoll: '100ms',
      takeover: '2s',
      retry: { transientFirst: '200ms', transientMax: '2s' },
      files: { directory: join(dir, 'files') },
      receiptKeyFile: join(dir, 'keys/receipt.key.pem'),
    },
  };
}
