interface Open {
  readonly keys: Set<string>;
  readonly path: string;
  readonly array: boolean;
  index: number;
  key: string;
}

// A JSON token: string, one of the structural characters, or a number or literal. The text is known to be valid JSON.
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s"{}[\]:,]+/g;

/**
 * The path of the first key that an object carries twice, undefined when there is none.
 * `text` must have passed JSON.parse, which keeps the last of such keys without a word.
 */
export function duplicateKey(text: string): string | undefined {
  const stack: Open[] = [];
  let expectKey = false;
  for (const [token] of text.matchAll(TOKEN)) {
    const top = stack.at(-1);
    if (token === '{' || token === '[') {
      stack.push({ keys: new Set(), path: pathOf(top), array: token === '[', index: 0, key: '' });
      expectKey = token === '{';
    } else if (token === '}' || token === ']') {
      stack.pop();
      expectKey = false;
    } else if (token === ',' && top !== undefined) {
      top.index += 1;
      expectKey = !top.array;
    } else if (expectKey && top !== undefined) {
      top.key = String(JSON.parse(token));
      if (top.keys.has(top.key)) return pathOf(top);
      top.keys.add(top.key);
      expectKey = false;
    }
  }
  return undefined;
}

const pathOf = (open: Open | undefined): string => {
  if (open === undefined) return '';
  if (open.array) return `${open.path}[${String(open.index)}]`;
  return open.path === '' ? open.key : `${open.path}.${open.key}`;
};
