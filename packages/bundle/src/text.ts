/** Text that came over the wire or out of a file, cut to a length. Print it through a sink only. */
export interface HostileText {
  readonly text: string;
}

export const HOSTILE_TEXT_MAX = 512;

/** Takes text from outside; what is beyond `limit` UTF-16 units is cut and marked. */
export const hostile = (text: string, limit: number = HOSTILE_TEXT_MAX): HostileText => ({
  text: text.length > limit ? `${text.slice(0, limit)}…` : text,
});

// Control characters, line and paragraph separators, bidirectional controls, lone surrogates, invisible joiners.
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Surrogate}/gu;

/** For a terminal or a log line: what could move the cursor, hide or reorder text is shown as an escape. */
export const printable = ({ text }: HostileText): string =>
  text.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
