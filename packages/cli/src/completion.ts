import { UsageError } from './arguments.ts';
import type { Option } from './options.ts';
import { type Entry, ENTRIES } from './table.ts';

/** `sluice completion bash|zsh`. Made from the table of commands; every word in it is one of ours. */
export function completion(shell: string | undefined): string {
  if (shell === 'bash') return bash();
  if (shell === 'zsh') return zsh();
  throw new UsageError('completion takes "bash" or "zsh"');
}

const heads = [...new Set(ENTRIES.map(([name]) => name.split(' ')[0] ?? ''))];

/** The second words of the commands that begin with this one. */
const seconds = (head: string): readonly string[] =>
  ENTRIES.flatMap(([name]) => (name.startsWith(`${head} `) ? [name.slice(head.length + 1)] : []));

/** What may stand behind an option that takes one of a few words; others take files. */
const valueCases = (name: string, options: Readonly<Record<string, Option>>): readonly string[] =>
  Object.entries(options).flatMap(([option, { words }]) =>
    words === undefined ? [] : [`'${name}':--${option}) _sluice_words '${words.join(' ')}'; return ;;`],
  );

function bash(): string {
  const options = (entry: Entry): string =>
    Object.keys(entry.options)
      .map((option) => `--${option}`)
      .join(' ');
  const two = heads.filter((head) => seconds(head).length > 0);
  return `# bash completion for sluice: source <(sluice completion bash)
_sluice_words() { COMPREPLY=($(compgen -W "$1" -- "$current")); }
_sluice() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" name="\${COMP_WORDS[1]}" at=2
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then _sluice_words '${heads.join(' ')}'; return; fi
  case "$name" in
${two.map((head) => `    ${head}) if ((COMP_CWORD == 2)); then _sluice_words '${seconds(head).join(' ')}'; return; fi; name="$name \${COMP_WORDS[2]}"; at=3 ;;`).join('\n')}
  esac
  case "$name:$before" in
${ENTRIES.flatMap(([name, entry]) => valueCases(name, entry.options).map((line) => `    ${line}`)).join('\n')}
  esac
  if [[ "$current" == -* ]]; then
    case "$name" in
${ENTRIES.map(([name, entry]) => `      '${name}') _sluice_words '${options(entry)}' ;;`).join('\n')}
    esac
    return
  fi
  if ((COMP_CWORD == at)); then
    case "$name" in
${ENTRIES.flatMap(([name, { words }]) => (words === undefined ? [] : [`      '${name}') _sluice_words '${words.join(' ')}'; return ;;`])).join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _sluice sluice
`;
}

/** zsh takes the completions of bash through its own bridge. */
const zsh = (): string => `# zsh completion for sluice, behind compinit: source <(sluice completion zsh)
autoload -U +X bashcompinit && bashcompinit
${bash()}`;
