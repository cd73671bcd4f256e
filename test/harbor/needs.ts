import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** True when the program is on the PATH. */
export function has(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The first of these programs that is not installed; undefined when all are. In CI a missing one is an error, not a skip. */
export function missing(...programs: string[]): string | undefined {
  const absent = programs.find((program) => !has(program));
  if (absent !== undefined && process.env.CI === 'true')
    throw new Error(`${absent} is not installed; run deploy/prerequisites.sh`);
  return absent;
}
