import { replicate } from '@sluice/registry';
import type { ImportPorts } from './pipeline.ts';

/** One execution of each configured policy, one after the other, each to its end. */
export async function replicateAll({ home, replicationPolicies, replication, onEvent }: ImportPorts): Promise<void> {
  for (const policy of replicationPolicies) {
    await replicate(home.harbor, policy, {
      ...replication,
      onProgress: (execution) => {
        onEvent({ stop: 'replication', policy, execution });
      },
    });
  }
}
