import type { Harbor, Registry } from '@sluice/registry';
import type { ImportPorts } from '@sluice/importer';

/** Harbor and its registry: may fail, be silent, or lie. */
export class SimulatedHarbor {
  trouble = { fail: 0, stall: 0, lie: 0 };
  readonly counts = { 'registry.failed': 0, 'registry.stalled': 0, 'registry.lied': 0 };

  home(): ImportPorts['home'] {
    return { name: 'home', registry: {} as Registry, harbor: {} as Harbor };
  }
}
