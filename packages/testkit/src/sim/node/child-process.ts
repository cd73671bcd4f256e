// In the place of `node:child_process` for the code that runs in a world: the one program that is started there is `sync -f`.
import { blocking, mounts } from '../mounts.ts';

// What nobody in a world calls is only there to be named.
export * from 'node:child_process';

export function spawnSync(
  program: string,
  args: readonly string[],
): { readonly status: number; readonly stderr: string } {
  const path = args.at(-1) ?? '';
  if (program !== 'sync') throw new Error(`the simulation has no program ${program}`);
  blocking(path, () => mounts().place(path).disk.syncAll());
  return { status: 0, stderr: '' };
}

export function spawn(program: string): never {
  throw new Error(`the simulation has no program ${program}`);
}
