// jazzer.js comes as a shared object that wants glibc 2.38. Where the host has an older one, Debian 13's is unpacked beside it,
// and Node is started by that one's loader: no container, nothing installed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

const NEEDS = [2, 38] as const;
const PACKAGES = 'libc6,libgcc-s1,libstdc++6,libatomic1';
const SUITE = 'trixie';

function hostLibc(): readonly [number, number] {
  const report = process.report.getReport() as { readonly header?: { readonly glibcVersionRuntime?: string } };
  const [major = 0, minor = 0] = (report.header?.glibcVersionRuntime ?? '').split('.').map(Number);
  return [major, minor];
}

/** How to start Node so that jazzer.js loads: the program, and what stands before the script. @throws Error that says what is needed */
export function nodeWithLibc(directory: string): readonly string[] {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error('the fuzzer runs on Linux on x86-64 only');
  const [major, minor] = hostLibc();
  if (major > NEEDS[0] || (major === NEEDS[0] && minor >= NEEDS[1])) return [process.execPath];
  const libraries = join(directory, 'usr/lib/x86_64-linux-gnu');
  const loader = join(libraries, 'ld-linux-x86-64.so.2');
  if (!existsSync(loader)) unpack(directory);
  return [loader, '--library-path', libraries, '--argv0', process.execPath, process.execPath];
}

function unpack(directory: string): void {
  const unfinished = `${directory}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(dirname(directory), { recursive: true });
  console.error(
    `fuzz: glibc here is older than ${NEEDS.join('.')}: unpacking ${PACKAGES} of Debian ${SUITE} into ${directory}`,
  );
  const made = spawnSync('mmdebstrap', ['--quiet', '--variant=extract', `--include=${PACKAGES}`, SUITE, unfinished], {
    stdio: ['ignore', 2, 2],
  });
  if (made.error !== undefined || made.status !== 0) {
    const why = made.error?.message ?? `it ended with status ${String(made.status)}`;
    throw new Error(
      `jazzer.js needs glibc ${NEEDS.join('.')} or later; mmdebstrap could not fetch it from Debian ${SUITE} (${why}). ` +
        'Install mmdebstrap, be root, and reach a Debian mirror; or run this on a host with a newer glibc.',
    );
  }
  renameSync(unfinished, directory);
}
