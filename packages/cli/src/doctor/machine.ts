import { statfsSync, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { createCodec } from '@sluice/fec';
import { openTagAccelerator } from '@sluice/trust';
import { openSource } from '@sluice/udp';
import { either, fail, type Finding, ok, unknown, warn } from './finding.ts';
import { ask, mib, readText } from './host.ts';

/** No Sluice is older; a clock before it was never set. */
const CLOCK_MIN = Date.UTC(2026, 0, 1);
const INODES_MIN = 0.02;

/** What of this machine makes the fast path fast. */
export async function cpuFindings(): Promise<Finding[]> {
  const { kind } = createCodec();
  const source = await openSource({ host: '127.0.0.1', port: 0, receiveBuffer: 2 ** 16 }, 'auto');
  const tags = await openTagAccelerator(source.io);
  await source.close();
  const flags = / sha_ni( |$)/m.exec(readText('/proc/cpuinfo') ?? '') !== null;
  return [
    either(kind === 'relaxed-simd', ['cpu:repair', `repair symbols are computed by ${kind}`], (check) =>
      warn(check, `repair symbols are computed by ${kind}`, 'it is slower by a factor of two and more', 'lscpu'),
    ),
    either(flags, ['cpu:hash', 'the processor has SHA-256 (sha_ni)'], (check) =>
      warn(
        check,
        'the processor has no SHA-256 (sha_ni)',
        'every byte is hashed: without it at some 0.4 GB/s',
        'lscpu | grep -o sha_ni',
      ),
    ),
    either(source.io === 'native', ['io:native', `sockets: ${source.why}; ${tags.why}`], (check) =>
      warn(check, `sockets: ${source.why}`, 'without native calls the link carries a fraction', 'sluice link --check'),
    ),
  ];
}

/** Nothing is accepted or refused by the clock, so it never fails. */
export function clockFindings(side: 'sender' | 'receiver'): Finding[] {
  const now = new Date();
  const set = now.getTime() >= CLOCK_MIN;
  const findings = [
    either(set, ['clock:time', now.toISOString()], (check) =>
      warn(
        check,
        `the clock says ${now.toISOString()}`,
        'receiving goes on; dates in logs and ledger are wrong',
        "timedatectl set-time 'YYYY-MM-DD HH:MM:SS'",
      ),
    ),
  ];
  if (side === 'receiver') return findings;
  const asked = ask('timedatectl', 'show', '--property=NTPSynchronized', '--value');
  if (asked?.status !== 0)
    return [...findings, unknown('clock:synchronized', 'timedatectl does not say whether it is synchronized')];
  const synchronized = asked.out.trim() === 'yes';
  return [
    ...findings,
    either(synchronized, ['clock:synchronized', 'the clock is synchronized'], (check) =>
      warn(
        check,
        'the clock is not synchronized',
        'sessions are numbered by it: one that went far ahead and came back is refused over there (epoch-went-back)',
        'timedatectl set-ntp true',
      ),
    ),
  ];
}

/** Room for bytes and for files below each directory. */
export function diskFindings(places: readonly (readonly [what: string, path: string])[], least: number): Finding[] {
  return places.flatMap(([what, path]) => {
    const { at, missing } = nearest(path);
    if (missing)
      return [
        fail(`disk:${what}`, `${path} is not there`, 'the daemon keeps its state there', 'systemd-tmpfiles --create'),
      ];
    const { bavail, bsize, ffree, files } = statfsSync(at);
    const free = bavail * bsize;
    const said = `${mib(free)} are free below ${path}`;
    const room = either(free >= least, [`disk:${what}`, said], (check) =>
      (free < least / 10 ? fail : warn)(
        check,
        `${said}, wanted ${mib(least)}`,
        'what does not fit is dropped, and comes with a later pass at best',
        `du -xh --max-depth=2 ${path}`,
      ),
    );
    if (files === 0) return [room];
    const share = ffree / files;
    const percent = `${String(Math.round(share * 100))} % of the inodes below ${path} are free`;
    return [
      room,
      either(share >= INODES_MIN, [`inodes:${what}`, percent], (check) =>
        (ffree === 0 ? fail : warn)(check, percent, 'no file can be made without one', `df -i ${path}`),
      ),
    ];
  });
}

/** A directory that its daemon makes itself is judged by the one above. */
function nearest(path: string): { readonly at: string; readonly missing: boolean } {
  if (existsSync(path)) return { at: path, missing: false };
  const above = dirname(path);
  return { at: above, missing: !existsSync(above) };
}

/** That the daemon's own view of itself is at hand. */
export const runs = (daemon: string, answers: boolean): Finding =>
  answers
    ? ok(`daemon:${daemon}`, 'it runs and answers')
    : unknown(`daemon:${daemon}`, 'it does not answer on its port', `systemctl status sluice-${daemon}`);
