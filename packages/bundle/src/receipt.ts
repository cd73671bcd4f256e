import type { Digest, Result } from '@sluice/ports';
import { countAt, digestAt, fail, listAt, literalAt, objectAt, reading, textAt } from './fields.ts';
import type { JsonValue } from './json.ts';
import { encodeStatement, readStatement } from './statement.ts';

export const RECEIPT_RESULTS = ['imported', 'refused', 'failed'] as const;

/** The importer's signed outcome of one bundle (docs/PROTOCOL.md section 8). */
export interface Receipt {
  /** Bundle id: digest of the transport envelope. */
  readonly bundle: Digest;
  readonly channel: string;
  readonly sequence: number;
  readonly result: (typeof RECEIPT_RESULTS)[number];
  /** Why, when it is not imported; `ok` otherwise. */
  readonly code: string;
  /** What was seen at each site after the import, by the site's own answer. */
  readonly artifacts: readonly {
    readonly name: string;
    readonly digest: Digest;
    readonly sites: readonly { readonly site: string; readonly digest: Digest }[];
  }[];
  /** Where `artifacts` are too many to come along: a receipt of the same bundle and result that lists them, in the store. */
  readonly full?: { readonly digest: Digest; readonly size: number; readonly artifacts: number };
  /** Importer time, Unix seconds. */
  readonly seconds: number;
}

/** The receipt in its one spelling (B-13), whatever the order of the keys in `receipt`. */
export function encodeReceipt(receipt: Receipt): Uint8Array {
  const { bundle, channel, sequence, result, code, artifacts, full, seconds } = receipt;
  return encodeStatement('receipt', [{ name: 'bundle', digest: bundle }], {
    channel,
    sequence,
    result,
    code,
    artifacts: artifacts.map(({ name, digest, sites }) => ({
      name,
      digest,
      sites: sites.map(({ site, digest: there }) => ({ site, digest: there })),
    })),
    ...(full === undefined ? {} : { full: { digest: full.digest, size: full.size, artifacts: full.artifacts } }),
    seconds,
  });
}

/** Refuses what the JSON parser refuses, `statement-malformed`, `predicate-type`, `digest-algorithm`. */
export function parseReceipt(payload: Uint8Array): Result<Receipt> {
  return reading(() => {
    const { subject, predicate } = readStatement(payload, 'receipt');
    const [bundle] = subject;
    if (bundle === undefined || subject.length !== 1) return fail('statement-malformed', 'a receipt has one subject');
    const keys = ['channel', 'sequence', 'result', 'code', 'artifacts', 'full', 'seconds'];
    const fields = objectAt(predicate, 'predicate', keys);
    return {
      bundle: bundle.digest,
      channel: textAt(fields.channel, 'channel'),
      sequence: countAt(fields.sequence, 'sequence', 1),
      result: literalAt(fields.result, 'result', RECEIPT_RESULTS),
      code: textAt(fields.code, 'code'),
      artifacts: listAt(fields.artifacts, 'artifacts').map((item, i) => {
        const where = `artifacts[${String(i)}]`;
        const { name, digest, sites } = objectAt(item, where, ['name', 'digest', 'sites']);
        return {
          name: textAt(name, `${where}.name`),
          digest: digestAt(digest, `${where}.digest`),
          sites: listAt(sites, `${where}.sites`).map((seen, j) => {
            const at = `${where}.sites[${String(j)}]`;
            const { site, digest: there } = objectAt(seen, at, ['site', 'digest']);
            return { site: textAt(site, `${at}.site`), digest: digestAt(there, `${at}.digest`) };
          }),
        };
      }),
      ...fullAt(fields.full),
      seconds: countAt(fields.seconds, 'seconds'),
    };
  });
}

function fullAt(value: JsonValue | undefined): Pick<Receipt, 'full'> {
  if (value === undefined) return {};
  const { digest, size, artifacts } = objectAt(value, 'full', ['digest', 'size', 'artifacts']);
  return {
    full: {
      digest: digestAt(digest, 'full.digest'),
      size: countAt(size, 'full.size', 1),
      artifacts: countAt(artifacts, 'full.artifacts', 1),
    },
  };
}
