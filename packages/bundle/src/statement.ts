import { type Digest, hexOf } from '@sluice/ports';
import { digestSetAt, fail, listAt, must, objectAt, textAt } from './fields.ts';
import { isObject, type JsonValue, parseJson, STATEMENT_JSON } from './json.ts';
import { decodeUtf8 } from './tar.ts';

/** in-toto Statement v1 (in-toto attestation framework, statement.md). */
export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
export const PREDICATES = {
  release: 'urn:sluice:release:v1',
  transport: 'urn:sluice:transport:v1',
  receipt: 'urn:sluice:receipt:v1',
  history: 'urn:sluice:history:v1',
  policy: 'urn:sluice:policy:v1',
} as const;
export type StatementKind = keyof typeof PREDICATES;

export interface Subject {
  readonly name: string;
  readonly digest: Digest;
}

/** The statement's one spelling. */
export function encodeStatement(kind: StatementKind, subject: readonly Subject[], predicate: unknown): Uint8Array {
  const document = {
    _type: STATEMENT_TYPE,
    subject: subject.map(({ name, digest }) => ({ name, digest: { sha256: hexOf(digest) } })),
    predicateType: PREDICATES[kind],
    predicate,
  };
  return new TextEncoder().encode(JSON.stringify(document));
}

/** Which of our statements a payload is, by its predicate type alone; undefined when it is none. */
export function kindOfStatement(payload: Uint8Array): StatementKind | undefined {
  const kinds = Object.keys(PREDICATES) as StatementKind[];
  // The one spelling (B-13) is looked for first: within a string the quotation marks would be escaped, so this is a member, and a statement of ours
  // has it nowhere but at its top.
  const text = decodeUtf8(payload);
  const spelled = kinds.find((kind) => text?.includes(`"predicateType":"${PREDICATES[kind]}"`));
  if (spelled !== undefined) return spelled;
  const document = parseJson(payload, STATEMENT_JSON);
  if (!document.ok || !isObject(document.value)) return undefined;
  const { predicateType } = document.value;
  return kinds.find((kind) => PREDICATES[kind] === predicateType);
}

/** The frame of a statement read; `predicate` still to be read. For use within `reading`. */
export function readStatement(
  payload: Uint8Array,
  kind: StatementKind,
): { readonly subject: readonly Subject[]; readonly predicate: JsonValue | undefined } {
  const document = objectAt(must(parseJson(payload, STATEMENT_JSON)), 'statement', [
    '_type',
    'subject',
    'predicateType',
    'predicate',
  ]);
  if (document._type !== STATEMENT_TYPE) fail('statement-malformed', `the statement's _type is not ${STATEMENT_TYPE}`);
  if (document.predicateType !== PREDICATES[kind]) {
    fail('predicate-type', `the statement's predicateType is not ${PREDICATES[kind]}`);
  }
  const subject = listAt(document.subject, 'subject').map((item, i) => {
    const where = `subject[${String(i)}]`;
    const { name, digest } = objectAt(item, where, ['name', 'digest']);
    return { name: textAt(name, `${where}.name`), digest: digestSetAt(digest, `${where}.digest`) };
  });
  return { subject, predicate: document.predicate };
}
