import { readFileSync } from 'node:fs';
import { kindOfStatement, parseEnvelope, parseRelease, parseTransport } from '@sluice/bundle';
import { type Digest, ENVELOPE_BYTES, hostile, type HostileText } from '@sluice/ports';
import type { ObjectInfo } from '@sluice/transfer';
import type { ReplayedObject } from '../replay-spool.ts';

const STATEMENT_TYPE = 'application/vnd.dsse.envelope.v1+json';

interface SeenBundle {
  readonly id: Digest;
  readonly channel: string;
  readonly sequence: number;
  readonly release: Digest;
  readonly objects: readonly Digest[];
}

/** A bundle whose transport statement came out of the log. Nobody's signature has been looked at. */
export interface ReplayedBundle extends SeenBundle {
  /** Name of the release, once its statement came out. */
  readonly name: HostileText | undefined;
  /** Objects that came out whole. */
  readonly whole: number;
  /** What a ledger says of it, where one was asked. */
  readonly ledger?: { readonly state: string; readonly code: string; readonly agrees: boolean; readonly why: string };
}

/** Reads the statements that come out of a log. */
export class StatementReader {
  readonly bundles: SeenBundle[] = [];
  readonly #names = new Map<Digest, HostileText>();

  readonly take = ({ digest, size, contentType }: ObjectInfo, path: string): void => {
    if (contentType !== STATEMENT_TYPE || size > ENVELOPE_BYTES) return;
    const envelope = parseEnvelope(readFileSync(path));
    if (!envelope.ok) return;
    const { payload } = envelope.value;
    const kind = kindOfStatement(payload);
    if (kind === 'transport') {
      const read = parseTransport(payload);
      if (!read.ok) return;
      const { channel, sequence, release, objects } = read.value;
      this.bundles.push({
        id: digest,
        channel,
        sequence,
        release: release.digest,
        objects: objects.map((object) => object.digest),
      });
    }
    if (kind === 'release') {
      const read = parseRelease(payload);
      if (read.ok) this.#names.set(digest, hostile(read.value.name));
    }
  };

  /** The bundles, with how much of each is among these objects. */
  of(objects: readonly ReplayedObject[]): ReplayedBundle[] {
    const whole = new Set(objects.filter(({ state }) => state === 'whole').map(({ digest }) => digest));
    return this.bundles.map((bundle) => ({
      ...bundle,
      name: this.#names.get(bundle.release),
      whole: bundle.objects.filter((digest) => whole.has(digest)).length,
    }));
  }
}

/** All objects of a bundle, named by its id, its number or CHANNEL/NUMBER. */
export function bundleObjects(bundles: readonly SeenBundle[], name: string): readonly Digest[] | undefined {
  const found = bundles.find(
    ({ id, channel, sequence }) =>
      id === name || String(sequence) === name || `${channel}/${String(sequence)}` === name,
  );
  return found === undefined ? undefined : [found.id, found.release, ...found.objects];
}
