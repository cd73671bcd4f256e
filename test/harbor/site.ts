import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startRegistryBehind } from './behind.ts';
import { startHarbor, type HarborStandIn } from './index.ts';

export const PUSHER = { username: 'robot$importer', password: 'push-secret' };
export const PULLER = { username: 'robot$auditor', password: 'pull-secret', pullOnly: true };

export interface Site {
  readonly harbor: HarborStandIn;
  stop(): Promise<void>;
}

/** One site for a test: a docker-registry with the stand-in in front, a pushing and a pulling robot. */
export async function startSite(dir: string, name: string): Promise<Site> {
  mkdirSync(dir, { recursive: true });
  const behind = await startRegistryBehind(join(dir, `${name}-registry`));
  const credentials = [PUSHER, PULLER];
  const harbor = await startHarbor({ dir: join(dir, `${name}-harbor`), name, registry: behind.url, credentials });
  const stop = async (): Promise<void> => {
    await harbor.close();
    await behind.stop();
  };
  return { harbor, stop };
}
