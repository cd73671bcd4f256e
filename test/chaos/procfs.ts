import { readdirSync, readFileSync, statSync } from 'node:fs';

/** Clock ticks a second (USER_HZ). */
const TICKS = 100;

/** Resident memory of a process, bytes. */
export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1];
  return Number(kib ?? 0) * 1024;
}

/** CPU time that a process has used, seconds. */
export function cpuSeconds(pid: number): number {
  // The name of the program, which may hold blanks, ends at the last bracket; user and system time are fields 14 and 15.
  const fields = readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Open files of a process. */
export const openFiles = (pid: number): number => readdirSync(`/proc/${String(pid)}/fd`).length;

/** Size of a file, 0 when it is not there. */
export function fileBytes(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
