import {
  kindOfStatement,
  parseEnvelope,
  parseJson,
  STATEMENT_JSON,
  targetName,
  type TransportStatement,
} from '@sluice/bundle';
import { ALLOW_DIGESTS, type ReceiverToLink, type Refusal } from '@sluice/ports';
import type { JudgedRelease } from './judge/messages.ts';

export const STATEMENT_TYPE = 'application/vnd.dsse.envelope.v1+json';

/** What link is told so that the objects of a bundle may come in, in messages that it takes. */
export function* leaveFor({ channel, objects }: TransportStatement): Generator<ReceiverToLink> {
  for (let i = 0; i < objects.length; i += ALLOW_DIGESTS) {
    const digests = objects.slice(i, i + ALLOW_DIGESTS).map(({ digest }) => digest);
    yield { type: 'allow', channel, digests };
  }
}

/** The versions that a release brings, by type and target. */
export const versionsOf = ({ versions }: JudgedRelease) =>
  versions.map(({ type, target, version }) => ({ type, target: targetName(target), version }));

/** Why an envelope that is no transport statement is refused; undefined for a release. */
export function whyNotTransport(bytes: Uint8Array, asTransport: Refusal): Refusal | undefined {
  const envelope = parseEnvelope(bytes);
  if (!envelope.ok) return asTransport;
  if (kindOfStatement(envelope.value.payload) === 'release') return undefined;
  // What no one can read has no kind: its form says more than whose it is not.
  const document = parseJson(envelope.value.payload, STATEMENT_JSON);
  return document.ok ? asTransport : document.error;
}
