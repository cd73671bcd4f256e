import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { EXIT } from '@sluice/base';
import { commands } from '../src/commands.ts';
import { completion } from '../src/completion.ts';
import { groups, helpAt, STATUSES, usage } from '../src/help.ts';
import { manPage } from '../src/man.ts';
import { ENTRIES } from '../src/table.ts';
import { sluice } from './sluice.ts';

const firstWords = [...new Set(ENTRIES.map(([name]) => name.split(' ')[0]))];

describe('the table of commands', () => {
  it('has what the program runs, and nothing else', () => {
    expect(firstWords.toSorted()).toEqual(Object.keys(commands).toSorted());
  });

  it('is all in the list of commands, group by group', () => {
    const listed = usage()
      .split('\n')
      .filter((line) => line.startsWith('  '))
      .map((line) => line.trim().split(/ {2,}/));
    expect(listed).toEqual(groups().flatMap(([, entries]) => entries.map(([name, { about }]) => [name, about])));
    expect(listed).toHaveLength(ENTRIES.length);
  });

  it.each(ENTRIES.map(([name, entry]) => [name, entry] as const))('%s: its help has every option', (name, entry) => {
    const [first = '', ...rest] = name.split(' ');
    const text = helpAt(first, rest);
    expect(text.split('\n')[0]).toMatch(new RegExp(`^sluice ${name}( |$)`));
    for (const [option, { about, words = [] }] of Object.entries(entry.options)) {
      expect(text).toMatch(new RegExp(`^  --${option}( [^ ]+)? +${about.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`, 'm'));
      for (const word of words) expect(text).toContain(word);
    }
    expect(text).not.toContain('\n\n');
  });

  it('shows all commands of one first word, and says which there are where there is none', () => {
    expect(sluice('keys', '--help')).toMatchObject({ status: EXIT.ok, err: '' });
    expect(sluice('keys', '--help').out.match(/^sluice keys /gm)).toHaveLength(
      ENTRIES.filter(([name]) => name.startsWith('keys ')).length,
    );
    expect(sluice('help', 'key')).toMatchObject({
      status: EXIT.usage,
      err: 'sluice: there is no command "key"; "sluice help" lists them\n',
    });
  });
});

/** What each shell must be told before it is asked, as bashcompinit would of zsh. */
const SHELLS = {
  bash: { args: ['--norc', '-s'], before: '', after: '' },
  zsh: {
    args: ['-f', '-s'],
    before: 'autoload -U +X compinit && compinit -u -D 2>/dev/null\n',
    after: 'setopt kshglob noshglob braceexpand ksharrays shwordsplit\n',
  },
} as const;

/** What a shell offers at the end of these words, the last of which is begun: one process for all questions. */
function offers(shell: keyof typeof SHELLS, questions: readonly (readonly string[])[]): readonly (readonly string[])[] {
  const { args, before, after } = SHELLS[shell];
  const asked = questions.map((words) => {
    const quoted = words.map((word) => `'${word}'`).join(' ');
    return `COMP_WORDS=(${quoted}); COMP_CWORD=${String(words.length - 1)}; _sluice; printf '%s\\n' "\${COMPREPLY[@]}" --\n`;
  });
  const input = [before, completion(shell), after, ...asked].join('');
  const { status, stdout, stderr } = spawnSync(shell, args, { input, encoding: 'utf8', cwd: import.meta.dirname });
  expect([status, stderr]).toEqual([0, '']);
  const answers = stdout.split('--\n').slice(0, -1);
  // What does not begin like the word zsh leaves out by itself.
  return answers.map((answer, i) =>
    answer.split('\n').filter((each) => each !== '' && each.startsWith(questions[i]?.at(-1) ?? '')),
  );
}

describe.each(['bash', 'zsh'] as const)('the completion of %s', (shell) => {
  it('offers every command, its second words, its options, and what may stand behind them', () => {
    const seconds = firstWords.flatMap((first = '') => {
      const words = ENTRIES.flatMap(([name]) => (name.startsWith(`${first} `) ? [name.slice(first.length + 1)] : []));
      return words.length === 0 ? [] : [[['sluice', first, ''], words] as const];
    });
    const cases: (readonly [readonly string[], readonly (string | undefined)[]])[] = [
      [['sluice', ''], firstWords],
      [['sluice', 'rel'], ['release']],
      ...seconds,
      [
        ['sluice', 'submit', '--'],
        ['--socket', '--channel', '--name', '--release'],
      ],
      [['sluice', 'keys', 'generate', '--algorithm', 'ECDSA-P3'], ['ECDSA-P384']],
      [['sluice', 'config', 'check', 're'], ['receiver']],
      [['sluice', 'config', 'check', 'receiver', 'table.t'], ['table.test.ts']],
      [['sluice', 'submit', 'table.t'], ['table.test.ts']],
    ];
    expect(seconds.length).toBeGreaterThan(2);
    expect(
      offers(
        shell,
        cases.map(([words]) => words),
      ),
    ).toEqual(cases.map(([, offered]) => offered));
  });
});

describe('the manual page', () => {
  it('has every command with its options, and every exit status', () => {
    const page = manPage();
    const plain = page.replaceAll('\\-', '-');
    for (const [name, { options, about }] of ENTRIES) {
      expect(plain).toContain(`\n.B sluice ${name}`);
      expect(plain).toContain(`\n${about}.`);
      for (const option of Object.keys(options)) expect(plain).toContain(`\n.BI --${option}`);
    }
    expect(STATUSES.map(([status]) => status)).toEqual(Object.values(EXIT));
    for (const [status] of STATUSES) expect(page).toContain(`\n.B ${String(status)}\n`);
  });

  it('is what groff takes without a word', () => {
    const { status, stdout, stderr } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-P-c'], {
      input: manPage(),
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
    // Bold is written over itself.
    const plain = stdout.replace(/.\u0008/g, '');
    expect(plain).toContain('EXIT STATUS');
    expect(plain).toMatch(/sluice ticket \[--socket PATH\]/);
  });
});
