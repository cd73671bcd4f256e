import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The table of our own network namespace, by a path that `ProcSubset=pid` leaves. */
const TABLE = '/proc/self/net/udp';
/** Its columns: local address and port, inode, drops. */
const LOCAL = 1;
const INODE = 9;
const DROPS = 12;

const lines = (): string[][] =>
  readFileSync(TABLE, 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/));

/** Drops at the UDP socket with this inode, modulo 2^32; undefined when it is not of our network namespace. */
export function procDrops(inode: string): number | undefined {
  const drops = lines().find((fields) => fields[INODE] === inode)?.[DROPS];
  return drops === undefined ? undefined : Number(drops);
}

/** The inode of the socket behind a descriptor of this process. */
export function inodeOfDescriptor(fd: number | string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  } catch {
    // A descriptor of the listing that is closed by now, or no /proc: no inode to be known.
    return undefined;
  }
}

/** The inode of the UDP socket of this process that is bound to `port`: Node does not tell its descriptor. */
export function inodeOfPort(port: number): string | undefined {
  const own = new Set(readdirSync('/proc/self/fd').map(inodeOfDescriptor));
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return lines().find((fields) => fields[LOCAL]?.endsWith(suffix) === true && own.has(fields[INODE]))?.[INODE];
}
