import type { FuzzTarget } from './target.ts';

/** Every target: a file of this name in targets/, and a directory of this name in corpus/. */
export const TARGETS = [
  'datagram',
  'fdt',
  'kernel',
  'heartbeat',
  'json',
  'envelope',
  'statement',
  'oci',
  'tar',
  'pack',
  'archive',
  'ticket',
  'capture',
  'config',
  'session',
  'spool',
  'lines',
  'policy',
  'index',
  'handover',
] as const;
export type TargetName = (typeof TARGETS)[number];

export const isTarget = (name: string): name is TargetName => TARGETS.some((target) => target === name);

/** Loads one target alone, so that nothing of the others is covered or instrumented. */
export async function loadTarget(name: TargetName): Promise<FuzzTarget> {
  const loaded = (await import(`./targets/${name}.ts`)) as { readonly target: FuzzTarget };
  return loaded.target;
}
