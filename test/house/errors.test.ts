import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT, LINE_FAULT_CODES } from '../../packages/base/src/index.ts';
import {
  BUNDLE_STATES,
  GIVEN_UP,
  SEND_STATES,
  STORE_DAMAGED,
  WAITING_FOR_ROOM,
} from '../../packages/ledger/src/index.ts';
import { CAPTURE_CODES } from '../../packages/pcapng/src/index.ts';
import {
  BUNDLE_CODES,
  CONTROL_CODES,
  DATAGRAM_CODES,
  IMPORT_CODES,
  LINK_ALARMS,
  OPERATIONAL_CODES,
  RECEIVER_ALARMS,
  REGISTRY_CODES,
  TICKET_CODES,
} from '../../packages/ports/src/index.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const page = readFileSync(join(REPOSITORY, 'docs/ERRORS.md'), 'utf8');

interface Row {
  readonly section: string;
  readonly cells: readonly string[];
}

/** The rows of all tables, each with the second-level heading above it; heads and rulers left out. */
function rows(): readonly Row[] {
  const found: Row[] = [];
  let section = '';
  let table: string[][] = [];
  const end = (): void => {
    for (const cells of table.slice(2)) found.push({ section, cells });
    table = [];
  };
  for (const line of page.split('\n')) {
    if (line.startsWith('|')) {
      table.push(
        line
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.trim()),
      );
      continue;
    }
    end();
    if (line.startsWith('## ')) section = line.slice(3);
  }
  end();
  return found;
}

const all = rows();
const unquoted = (cell = ''): string => cell.replace(/^`(.*)`$/, '$1');
/** First cells of a section, sorted. */
const listed = (section: string): string[] =>
  all
    .filter((row) => row.section === section)
    .map(({ cells }) => unquoted(cells[0]))
    .sort();
const sorted = (...lists: (readonly string[])[]): string[] => lists.flat().sort();

describe('docs/ERRORS.md lists', () => {
  it('every exit status', () => {
    const statuses = all.filter(({ section }) => section === 'Exit statuses').map(({ cells }) => cells);
    expect(Object.fromEntries(statuses.map(([status, name]) => [unquoted(name), Number(status)]))).toEqual(EXIT);
  });

  it('every verdict about a datagram', () => {
    expect(listed('Datagrams')).toEqual(sorted(['accepted', 'surplus'], DATAGRAM_CODES));
  });

  it('every code of a bundle', () => {
    expect(listed('Bundles and inputs')).toEqual(sorted(BUNDLE_CODES));
  });

  it('every code of a ticket', () => {
    expect(listed('Tickets')).toEqual(sorted(TICKET_CODES));
  });

  it('every code of a control socket', () => {
    expect(listed('Control')).toEqual(sorted(CONTROL_CODES));
  });

  it('every code of a failure', () => {
    expect(listed('Failures')).toEqual(sorted(OPERATIONAL_CODES));
  });

  it('every code of a registry with its class', () => {
    const classes = all.filter(({ cells }) => Object.hasOwn(REGISTRY_CODES, unquoted(cells[0])));
    expect(Object.fromEntries(classes.map(({ cells }) => [unquoted(cells[0]), cells[1]]))).toEqual(REGISTRY_CODES);
  });

  it('every alarm', () => {
    expect(listed('Alarms')).toEqual(sorted(LINK_ALARMS, RECEIVER_ALARMS, IMPORT_CODES));
  });

  it('every state', () => {
    const named = [
      'missing',
      'epoch-went-back',
      'superseded',
      STORE_DAMAGED,
      WAITING_FOR_ROOM,
      GIVEN_UP,
      'restored',
      'sender-restored',
    ];
    expect(listed('States')).toEqual(
      sorted(BUNDLE_STATES, SEND_STATES, named, ['whole', 'partial', 'digest-mismatch']),
    );
  });

  it('every code of records', () => {
    expect(listed('Records')).toEqual(sorted(CAPTURE_CODES, LINE_FAULT_CODES));
  });

  it('something to do for each, and nothing twice', () => {
    for (const { cells } of all) expect(cells.every((cell) => cell.length > 2 || /^\d+$/.test(cell))).toBe(true);
    for (const section of new Set(all.map((row) => row.section))) {
      if (section === 'States') continue;
      expect(listed(section)).toEqual([...new Set(listed(section))]);
    }
  });
});

/** The source of the product, without the lists themselves. */
function sources(): string {
  const lists = ['packages/ports/src/codes.ts', 'packages/ports/src/errors.ts'];
  return readdirSync(join(REPOSITORY, 'packages'))
    .filter((name) => name !== 'testkit')
    .flatMap((name) => {
      const folder = join('packages', name, 'src');
      const files = readdirSync(join(REPOSITORY, folder), { recursive: true, encoding: 'utf8' });
      return files.filter((file) => file.endsWith('.ts')).map((file) => join(folder, file));
    })
    .filter((file) => !lists.includes(file))
    .map((file) => readFileSync(join(REPOSITORY, file), 'utf8'))
    .join('\n');
}

describe('the closed lists', () => {
  it('hold no code that nothing gives', () => {
    const text = sources();
    const codes = [
      ...DATAGRAM_CODES,
      ...BUNDLE_CODES,
      ...OPERATIONAL_CODES,
      ...LINK_ALARMS,
      ...RECEIVER_ALARMS,
      ...IMPORT_CODES,
      ...TICKET_CODES,
      ...CONTROL_CODES,
    ];
    expect(codes.filter((code) => !text.includes(`'${code}'`))).toEqual([]);
  });

  it('give one meaning to a word', () => {
    const codes = [
      ...BUNDLE_CODES,
      ...TICKET_CODES,
      ...CONTROL_CODES,
      ...OPERATIONAL_CODES,
      ...LINK_ALARMS,
      ...RECEIVER_ALARMS,
      ...IMPORT_CODES,
    ];
    expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([]);
  });
});
