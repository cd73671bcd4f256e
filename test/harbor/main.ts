// `node test/harbor/main.ts --config FILE`: the stand-in as a process of its own, for the demo. Prints one JSON line when it listens.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Fault } from './faults.ts';
import { startHarbor, type HarborOptions, type Policy } from './index.ts';

interface Configuration extends HarborOptions {
  readonly projects?: readonly { readonly name: string; readonly quota?: number; readonly immutable?: string[] }[];
  readonly policies?: readonly (Partial<Omit<Policy, 'id'>> & Pick<Policy, 'name' | 'destination'>)[];
  readonly faults?: readonly (Omit<Fault, 'match'> & { readonly match: string })[];
}

const { values } = parseArgs({ options: { config: { type: 'string' } } });
if (values.config === undefined) throw new Error('usage: node test/harbor/main.ts --config FILE');
const configuration = JSON.parse(readFileSync(values.config, 'utf8')) as Configuration;
const standIn = await startHarbor(configuration);
for (const { name, quota, immutable } of configuration.projects ?? []) {
  const project = standIn.state.projects.get(name) ?? standIn.state.addProject(name, { public: 'false' }, quota);
  project.immutable = immutable ?? [];
}
for (const policy of configuration.policies ?? []) standIn.addPolicy(policy);
for (const { match, ...fault } of configuration.faults ?? []) standIn.fail({ ...fault, match: new RegExp(match) });
console.log(JSON.stringify({ name: standIn.name, url: standIn.url }));

const stop = (): void => {
  void standIn.close().then(() => process.exit(0));
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
