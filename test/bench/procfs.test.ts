import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { cpuSeconds, diskType, fileSystemOf, parseDrops, parsePeak, parseStat, peakMiB, tree } from './procfs.ts';

const stat = (pid: number, name: string, parent: number): string =>
  `${String(pid)} (${name}) S ${String(parent)} 10 10 0 -1 4194560 1 2 3 4 100 20 7 5 20 0 9 0 1234 5 6 7`;

describe('/proc/PID/stat', () => {
  it('counts user and system time, and that of children that ended', () => {
    expect(parseStat(stat(42, 'node', 7))).toEqual({ pid: 42, parent: 7, ticks: 100 + 20 + 7 + 5 });
  });

  it('is read right when the name holds parentheses and spaces', () => {
    expect(parseStat(stat(42, 'a) R 1 (b', 7))).toEqual({ pid: 42, parent: 7, ticks: 132 });
  });

  it('that is none is an error', () => {
    expect(() => parseStat('nonsense')).toThrow('not a line');
  });
});

it('a tree holds children of children, wherever they stand, and nobody else', () => {
  const line = (pid: number, parent: number) => ({ pid, parent, ticks: 1 });
  const processes = [line(30, 20), line(20, 10), line(10, 1), line(11, 1), line(40, 30)];
  expect(tree([10], processes).map(({ pid }) => pid)).toEqual([10, 20, 30, 40]);
});

describe('a process of this machine', () => {
  it('has the CPU time of a child that ended counted', () => {
    const burn = 'while (process.cpuUsage().user < 300_000);';
    const before = cpuSeconds([process.pid]);
    execFileSync(process.execPath, ['-e', burn]);
    expect(cpuSeconds([process.pid]) - before).toBeGreaterThanOrEqual(0.29);
  });

  it('has a peak of memory', () => {
    expect(peakMiB([process.pid])).toBeGreaterThan(20);
  });
});

it('the peak is VmHWM', () => {
  expect(parsePeak('Name:\tnode\nVmPeak:\t  900 kB\nVmHWM:\t  123456 kB\nVmRSS:\t 100 kB\n')).toBe(123456);
});

it('drops are those of the port, over all its sockets', () => {
  const table = [
    '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops',
    '  12: 00000000:1388 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000 17',
    '  13: 0100007F:1388 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000 3',
    '  14: 00000000:1389 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000 500',
  ].join('\n');
  expect(parseDrops(table, 5000)).toBe(20);
  expect(parseDrops(table, 1)).toBe(0);
});

describe('the file system of a directory', () => {
  const mounts = [
    '22 1 8:1 / / rw - ext4 /dev/vda rw',
    '23 22 0:5 / /tmp rw - tmpfs none rw',
    '24 23 0:6 / /tmp/disk rw - xfs /dev/vdb rw',
    '25 23 0:7 / /tmp/twice rw - xfs /dev/vdb rw',
    '26 23 0:8 / /tmp/twice rw - tmpfs none rw',
  ].join('\n');

  it.each([
    ['/var/tmp', 'ext4'],
    ['/tmp', 'tmpfs'],
    ['/tmp/x', 'tmpfs'],
    ['/tmpfoo', 'ext4'],
    ['/tmp/disk/x', 'xfs'],
    ['/tmp/diskette', 'tmpfs'],
    ['/tmp/twice', 'tmpfs'],
  ])('%s is %s', (path, type) => {
    expect(fileSystemOf(path, mounts)).toBe(type);
  });

  it('in memory is refused', () => {
    expect(fileSystemOf('/dev/shm')).toBe('tmpfs');
    expect(() => diskType('/dev/shm')).toThrow('in memory');
  });
});
