/** Text that came over the wire or out of a file, cut to a length. Print it through a sink only. */
export interface HostileText {
  readonly text: string;
}

export const HOSTILE_TEXT_MAX = 512;

/** Takes text from outside; what is beyond `limit` UTF-16 units is cut and marked. */
export const hostile = (text: string, limit: number = HOSTILE_TEXT_MAX): HostileText => ({
  text: text.length > limit ? `${text.slice(0, limit)}…` : text,
});

// What could move the cursor, hide or reorder text: control and format characters (bidirectional ones, joiners, tags), lone surrogates, private and
// unassigned characters, line and paragraph separators.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

const escaped = (character: string): string => {
  const hex = (character.codePointAt(0) ?? 0).toString(16);
  return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, '0')}`;
};

/** For a terminal or a log line: each unprintable character is shown as an escape. */
export const printable = ({ text }: HostileText): string => text.replace(UNPRINTABLE, escaped);
