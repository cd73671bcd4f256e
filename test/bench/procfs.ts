import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

export interface ProcessTimes {
  readonly pid: number;
  readonly parent: number;
  /** User and system time of all threads, those that ended included, and of the children that ended and were waited for. */
  readonly ticks: number;
}

/** A line of /proc/PID/stat. The name, in parentheses, may hold anything. */
export function parseStat(line: string): ProcessTimes {
  const rest = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(rest[number - 3]);
  const ticks = field(14) + field(15) + field(16) + field(17);
  const times = { pid: Number.parseInt(line, 10), parent: field(4), ticks };
  if (!Object.values(times).every(Number.isSafeInteger)) throw new Error(`not a line of /proc/PID/stat: ${line}`);
  return times;
}

/** What a process of /proc says; undefined when it is gone. */
function read(pid: number | string, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${String(pid)}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}

function allProcesses(): ProcessTimes[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => read(pid, 'stat') ?? [])
    .map(parseStat);
}

/** These processes and all that come from them. */
export function tree(roots: readonly number[], processes: readonly ProcessTimes[]): ProcessTimes[] {
  const found = new Map(processes.filter(({ pid }) => roots.includes(pid)).map((each) => [each.pid, each]));
  for (let before = -1; before !== found.size;) {
    before = found.size;
    for (const each of processes) if (found.has(each.parent)) found.set(each.pid, each);
  }
  return [...found.values()];
}

/** CPU-seconds used so far by these processes and all that came from them. */
export const cpuSeconds = (roots: readonly number[]): number =>
  tree(roots, allProcesses()).reduce((sum, { ticks }) => sum + ticks, 0) / TICKS_PER_SECOND;

/** Peak resident memory of a process, KiB, out of its /proc/PID/status. */
export const parsePeak = (status: string): number => Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);

/** Peak resident memory of these processes and all that come from them and still run, MiB: the sum of their peaks. */
export const peakMiB = (roots: readonly number[]): number =>
  tree(roots, allProcesses()).reduce((sum, { pid }) => sum + parsePeak(read(pid, 'status') ?? ''), 0) / 1024;

/** Busy CPU-seconds of the whole machine, out of /proc/stat: everything but idle and waiting for disks. */
export function parseBusy(stat: string): number {
  const [user, nice, system, , , irq, softirq] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '').split(' ').map(Number);
  return ((user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + (softirq ?? 0)) / TICKS_PER_SECOND;
}

export const busySeconds = (): number => parseBusy(readFileSync('/proc/stat', 'utf8'));

/** Datagrams that the kernel dropped at the UDP sockets of a port, out of /proc/net/udp. */
export function parseDrops(table: string, port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(local))
    .reduce((sum, fields) => sum + Number(fields.at(-1)), 0);
}

/** Kernel drops at a UDP port, in the network namespace of process `pid`. */
export const kernelDrops = (pid: number, port: number): number =>
  parseDrops(`${read(pid, 'net/udp') ?? ''}\n${read(pid, 'net/udp6') ?? ''}`, port);

/** Type of the file system that holds a directory, out of /proc/self/mountinfo. */
export function fileSystemOf(path: string, mountinfo = readFileSync('/proc/self/mountinfo', 'utf8')): string {
  let best = { at: '', type: 'unknown' };
  for (const line of mountinfo.split('\n')) {
    const [fields = '', rest = ''] = line.split(' - ');
    const at = fields.split(' ')[4] ?? '';
    const [type = ''] = rest.split(' ');
    const holds = at === '/' || path === at || path.startsWith(`${at}/`);
    // A later mount at the same place covers the earlier one.
    if (at !== '' && holds && at.length >= best.at.length) best = { at, type };
  }
  return best.type;
}

/** Types that keep files in memory: a spool there would measure another machine. */
const IN_MEMORY = ['tmpfs', 'ramfs', 'devtmpfs', 'hugetlbfs'];

/** The type of the file system of `directory`; refuses one in memory. */
export function diskType(directory: string): string {
  if (!statSync(directory).isDirectory()) throw new Error(`${directory} is no directory`);
  const type = fileSystemOf(directory);
  if (!IN_MEMORY.includes(type)) return type;
  throw new Error(`${directory} is on ${type}, in memory; name a directory on a disk with --dir`);
}
