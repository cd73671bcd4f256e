// Debian's Wireshark tools read what we write, and the other way round.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAlc } from '@sluice/alc';
import type { Verdict } from '@sluice/ports';
import { ChunkLog, type ChunkLogMode, directoryStorage, readChunkLog } from '@sluice/pcapng';
import { OPTIONS, PORT, TSI, TestClock, datagramAt, datagrams } from './samples.ts';

const COUNT = 64;
const NS = 1_790_000_000_123_456_789n;
const LUA = fileURLToPath(new URL('../../../deploy/wireshark/sluice.lua', import.meta.url));

const missing = ['tshark', 'capinfos', 'editcap'].filter((tool) => spawnSync(tool, ['--version']).status !== 0);
if (missing.length > 0 && process.env.CI === 'true')
  throw new Error(`${missing.join(', ')} missing: apt-get install tshark`);

const run = (tool: string, ...args: string[]): string =>
  execFileSync(tool, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 1024 * 1024 });

describe.skipIf(missing.length > 0)(`Wireshark tools (skipped when missing: apt-get install tshark)`, () => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-tshark-'));
  const batch = datagrams(COUNT);
  const verdicts: Verdict[] = Array.from({ length: COUNT }, (_, index) => (index % 5 === 0 ? 'replayed' : 'accepted'));
  const logs: Record<string, string> = {};

  beforeAll(async () => {
    for (const mode of ['full', 'headers'] satisfies ChunkLogMode[]) {
      const known = new Set(readdirSync(directory));
      const log = new ChunkLog(
        { ...OPTIONS, mode, kernelDrops: (id) => 5 * id },
        directoryStorage(directory),
        new TestClock(),
      );
      log.append(batch, verdicts, NS);
      await log.close();
      logs[mode] = join(directory, readdirSync(directory).find((name) => !known.has(name)) ?? '');
    }
  });
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  const alc = (mode: string, ...args: string[]): string[] =>
    run('tshark', '-r', logs[mode] ?? '', '-d', `udp.port==${PORT},alc`, ...args)
      .trimEnd()
      .split('\n');

  it('capinfos finds a strict, complete nanosecond capture', () => {
    const text = run('capinfos', logs.full ?? '');
    expect(text).toMatch(/File encapsulation:\s+Raw IP/);
    expect(text).toMatch(/nanoseconds \(9\)/);
    expect(text).toMatch(new RegExp(`Number of packets:\\s+${COUNT}`));
    expect(text).toMatch(/Capture application:\s+sluice 0\.1\.0/);
    expect(text).toMatch(/Name = prod/);
    expect(text).toMatch(/Number of stat entries = 1/);
    expect(text).not.toMatch(/cut short/);
  });

  it.each(['full', 'headers'])('tshark sees every datagram as ALC and none malformed (%s)', (mode) => {
    const fields = [
      'frame.protocols',
      'rmt-lct.tsi',
      'rmt-lct.toi',
      'rmt-lct.codepoint',
      'frame.comment',
      '_ws.malformed',
      'frame.time_epoch',
    ];
    const rows = alc(mode, '-T', 'fields', ...fields.flatMap((field) => ['-e', field]));
    expect(rows.length).toBe(COUNT);
    for (const [index, row] of rows.entries()) {
      const [protocols, tsi, toi, codepoint, comment, malformed, time] = row.split('\t');
      expect(protocols).toMatch(/^raw:ip:udp:alc:rmt-lct/);
      expect([Number(tsi), Number(toi), Number(codepoint)]).toEqual([TSI, index % 8 === 0 ? 0 : 7, 5]);
      expect([comment, malformed, time]).toEqual([verdicts[index], '', '1790000000.123456789']);
    }
    expect(
      alc(mode, '-Y', '_ws.malformed || ip.checksum.status == "Bad" || udp.length.bad', '-o', 'ip.check_checksum:TRUE'),
    ).toEqual(['']);
  });

  it.each(['full', 'headers'])('sluice.lua shows what our parser reads (%s)', (mode) => {
    const fields = [
      'form',
      'asid',
      'sn',
      'sbn',
      'esi',
      'fdt_instance',
      'fti.transfer_length',
      'fti.symbol_bytes',
      'fti.max_block',
      'fti.max_n',
      'ntp_seconds',
      'class',
      'epoch',
    ];
    const rows = alc(
      mode,
      '-X',
      `lua_script:${LUA}`,
      '-T',
      'fields',
      ...fields.flatMap((field) => ['-e', `sluice.${field}`]),
    );
    expect(rows.length).toBe(COUNT);
    for (const [index, row] of rows.entries()) {
      const parsed = parseAlc(datagramAt(batch, index));
      if (!parsed.ok) throw new Error(parsed.error);
      const { form, auth, payload, fdt, fti, time } = parsed.value;
      const shown = [form, auth?.asid, auth?.sn, payload?.sbn, payload?.esi, fdt?.instanceId];
      const information = [
        fti?.transferLength,
        fti?.symbolBytes,
        fti?.maxBlock,
        fti?.maxSymbols,
        time?.values[0],
        0,
        TSI,
      ];
      expect(row.split('\t')).toEqual(
        [...shown, ...information].map((value) => (value === undefined ? '' : `${value}`)),
      );
    }
  });

  it('reads what editcap converts: pcap, nanosecond pcap, and a rewritten pcapng', async () => {
    for (const format of ['pcap', 'nsecpcap', 'pcapng']) {
      const path = join(directory, `converted.${format}`);
      run('editcap', '-F', format, logs.full ?? '', path);
      let index = 0;
      for await (const item of readChunkLog([path])) {
        if (item.kind === 'end' || item.kind === 'statistics') continue;
        if (item.kind === 'fault') throw new Error(item.code);
        expect(item.udp.payload).toEqual(datagramAt(batch, index));
        expect(item.timestampNs).toBe(format === 'pcap' ? (NS / 1000n) * 1000n : NS);
        expect(item.comment).toBe(format === 'pcapng' ? verdicts[index] : undefined);
        index++;
      }
      expect(index).toBe(COUNT);
    }
  });
});
