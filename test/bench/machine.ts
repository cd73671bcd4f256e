import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { GIB } from './stats.ts';

/** First line of what a program says; undefined when it cannot be run. */
function said(file: string, ...args: string[]): string | undefined {
  try {
    return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).split('\n')[0];
  } catch {
    return undefined;
  }
}

const sysctl = (name: string): string => readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').trim();

/** The machine that figures hold for. */
export const machine = () => ({
  kernel: release(),
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / GIB),
  /** Over the last minute before the run: what others were doing here. */
  load: loadavg()[0],
  node: process.version,
  iperf3: said('iperf3', '--version'),
  commit: said('git', '-C', import.meta.dirname, 'rev-parse', '--short=12', 'HEAD'),
  'net.core.rmem_max': sysctl('net.core.rmem_max'),
  'net.core.wmem_max': sysctl('net.core.wmem_max'),
});
