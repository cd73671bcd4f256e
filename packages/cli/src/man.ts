import { aboutOption, groups, STATUSES, synopsisOf } from './help.ts';

/** Text for roff: no line of it begins with a control character, no backslash or hyphen means another thing. */
const roff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&');

/** The manual page. It has no date: the same program gives the same bytes. */
export function manPage(): string {
  const commands = groups().flatMap(([group, entries]) => [
    `.SS ${roff(group)}`,
    ...entries.flatMap(([name, entry]) => [
      '.TP',
      `.B ${roff(synopsisOf(name, entry))}`,
      roff(`${entry.about}.${entry.more === undefined ? '' : ` ${entry.more}`}`),
      ...Object.entries(entry.options).flatMap(([option, each]) => [
        '.RS',
        '.TP',
        `.BI \\-\\-${roff(option)}${each.value === undefined ? '' : ` " ${roff(each.value)}"`}`,
        roff(aboutOption(each)),
        '.RE',
      ]),
    ]),
  ]);
  return [
    '.TH SLUICE 1 "" sluice "User Commands"',
    // Options are not spread over the line, nor cut in two.
    '.ad l',
    '.nh',
    '.SH NAME',
    'sluice \\- carry container software through a data diode',
    '.SH SYNOPSIS',
    '.B sluice',
    '.I COMMAND',
    '[OPTIONS]',
    '.SH DESCRIPTION',
    'The daemons of both sides of a one\\-way link, and the commands with which people make releases, watch, and mend.',
    '.SH COMMANDS',
    ...commands,
    '.SH EXIT STATUS',
    ...STATUSES.flatMap(([status, meaning]) => ['.TP', `.B ${String(status)}`, roff(`${meaning}.`)]),
    '.SH ENVIRONMENT',
    '.TP',
    '.B SLUICE_AT',
    'Address of the daemon that is asked, where \\-\\-at is not given.',
    '',
  ].join('\n');
}
