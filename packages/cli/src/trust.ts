import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import {
  encodePolicy,
  type Envelope,
  parseEnvelope,
  parsePolicy,
  POLICY_BYTES,
  type PolicyChannel,
  type TrustPolicy,
} from '@sluice/bundle';
import type { Refusal } from '@sluice/ports';
import { addSignature, linkKeyId, loadSigner, loadVerifier, parseLinkKey, sha256Digest } from '@sluice/trust';
import type { Answer } from './ask.ts';
import { parseArguments, RefusedError, required, UsageError } from './arguments.ts';
import { answered, itemsOf, named, printed, textOf } from './control.ts';
import { RECEIVER_SOCKET } from './options.ts';
import { note, say } from './say.ts';
import { optionsOf } from './table.ts';

/** Each daemon of the isolated side has trust anchors of its own, and is told by itself. */
const SOCKETS = [RECEIVER_SOCKET, '/run/sluice/importer/control.sock'];
const KEY_ID = /^[0-9a-f]{8,64}$/;

/** The sockets named, or those of this host that are there. */
function socketsOf(given: readonly string[] | undefined): readonly string[] {
  const all = given ?? SOCKETS.filter((path) => existsSync(path));
  if (all.length === 0)
    throw new RefusedError(`there is no control socket at ${SOCKETS.join(' or ')}; name one with --socket`);
  return all;
}

/** A key by its id or the first digits of it, or by a file that holds it. */
function keyNamed(text: string): string {
  return KEY_ID.test(text) && !existsSync(text) ? text : idOf(text);
}

/** The id of the key in a file: public, private, or of the link. */
function idOf(file: string): string {
  const text = readFileSync(file, 'utf8');
  if (text.includes('PRIVATE KEY')) return loadSigner(text).keyid;
  return text.includes('BEGIN') ? loadVerifier(text).keyid : linkKeyId(parseLinkKey(text));
}

export const KEY_COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<number> | number>> = {
  id: (args) => {
    const { values, positionals } = parseArguments(args, optionsOf('keys id'));
    const id = idOf(one(positionals, 'keys id takes one file'));
    if (values.json === true) return printed({ id });
    say(id);
    return 0;
  },
  list: async (args) => {
    const { values } = parseArguments(args, optionsOf('keys list'));
    for (const path of socketsOf(values.socket)) {
      const body = await answered(path, '/v1/keys', {});
      if (values.json === true) {
        printed({ socket: path, ...body });
        continue;
      }
      const { keys, policy } = body;
      say(
        textOf(path),
        policy === null || policy === undefined ? '  as configured' : `  ${policyLine(policy as Digested)}`,
      );
      for (const { key, name, places, channel, asid, sends, revoked } of itemsOf(keys)) {
        const link =
          sends === undefined
            ? []
            : [`${textOf(channel)}: link, asid ${textOf(asid)}${sends === true ? ', sends' : ''}`];
        const where = [...(Array.isArray(places) ? places.map(String) : []), ...link].join('; ');
        say(`  ${textOf(key)} ${[textOf(name), where, revoked === true ? 'REVOKED' : ''].filter(Boolean).join(' ')}`);
      }
    }
    return 0;
  },
  revoke: async (args) => {
    const { values, positionals } = parseArguments(args, optionsOf('keys revoke'));
    const key = keyNamed(one(positionals, 'keys revoke takes one key: its id, or a file'));
    const why = required(values.reason, 'reason');
    for (const path of socketsOf(values.socket)) {
      const body = await answered(path, '/v1/keys/revoke', { key, reason: why });
      if (values.json === true) {
        printed({
          socket: path,
          ...body,
          ...(body.signed !== undefined && (await signedBy(path, textOf(body.key)))),
        });
        continue;
      }
      const places = Array.isArray(body.places) && body.places.length > 0 ? body.places.join('; ') : 'not known there';
      say(`${path}: ${textOf(body.key)} ${body.before === true ? 'was revoked before' : 'is revoked'} (${places})`);
      if (body.signed !== undefined) saySigned(await signedBy(path, textOf(body.key)));
    }
    return 0;
  },
  signed: async (args) => {
    const { values, positionals } = parseArguments(args, optionsOf('keys signed'));
    const key = keyNamed(one(positionals, 'keys signed takes one key: its id, or a file'));
    const found = await signedBy(values.socket, key);
    if (values.json === true) return printed({ key, ...found });
    saySigned(found);
    return 0;
  },
  switch: async (args) => {
    const { values, positionals } = parseArguments(args, optionsOf('keys switch'));
    const channel = one(positionals, 'keys switch takes the name of a channel');
    const why = required(values.reason, 'reason');
    const body = await answered(values.socket, '/v1/keys/switch', { channel, reason: why });
    if (values.json === true) return printed(body);
    const { from, to, asid } = body;
    say(`Channel ${channel} goes on with key ${textOf(to)} (asid ${textOf(asid)}), once no pass is on air.`);
    say(`The key before was ${textOf(from)}: end it when nothing comes by it any more.`);
    return 0;
  },
};

const one = ([first, ...more]: readonly string[], usage: string): string => {
  if (first === undefined || more.length > 0) throw new UsageError(usage);
  return first;
};

interface Signed {
  readonly items: readonly Answer['body'][];
}

/** Everything that a key signed, newest first: what became of it, and where it is. */
async function signedBy(path: string, key: string): Promise<Signed> {
  const items: Answer['body'][] = [];
  for (let before: unknown; before !== null;) {
    const page = await answered(path, '/v1/keys/signed', { key, ...(before === undefined ? {} : { before }) });
    items.push(...itemsOf(page.items));
    before = page.next ?? null;
  }
  return { items };
}

function saySigned({ items }: Signed): void {
  for (const item of items) {
    say(`${named(item)}: signed as ${textOf(item.role)}, ${textOf(item.state)}`);
    for (const { name, digest, sites } of itemsOf(item.artifacts)) {
      const where = itemsOf(sites).map(({ site }) => textOf(site));
      say(`  ${textOf(name)} ${textOf(digest)} at ${where.length === 0 ? 'no site' : where.join(', ')}`);
    }
    if (item.receipt !== undefined) say(`  its artifacts are in the receipt ${textOf(item.receipt)} in the store`);
  }
  say(`It had signed ${String(items.length)} bundle${items.length === 1 ? '' : 's'} that came here.`);
}

interface Digested {
  readonly version: unknown;
  readonly digest: unknown;
}
const policyLine = ({ version, digest }: Digested): string => `policy version ${textOf(version)}, ${textOf(digest)}`;

const refused = ({ code, detail }: Refusal): RefusedError => new RefusedError(`${detail} (${code})`);

/** `sluice policy create|sign|show|adopt`. */
export async function policy([what, ...args]: readonly string[]): Promise<number> {
  if (what === 'create') return create(args);
  if (what === 'sign') return sign(args);
  if (what === 'show') return show(args);
  if (what === 'adopt') return adopt(args);
  throw new UsageError('policy takes "create", "sign", "show" or "adopt"');
}

/** The source is the predicate as PROTOCOL.md has it, with `file` for `spki`: a public key beside it, PEM. */
function create(args: readonly string[]): number {
  const { positionals } = parseArguments(args, {});
  const source = one(positionals, 'policy create takes one source file');
  const payload = payloadOf(source);
  const checked = parsePolicy(payload);
  if (!checked.ok) throw refused(checked.error);
  process.stdout.write(`${Buffer.from(payload).toString('utf8')}\n`);
  return 0;
}

interface Source {
  readonly version: number;
  readonly keys: readonly { readonly name: string; readonly file: string }[];
  readonly channels: readonly PolicyChannel[];
}

/** What is written so is checked by the one that reads it; here only its outline must be right. */
function payloadOf(source: string): Uint8Array {
  try {
    return encoded(source, JSON.parse(readFileSync(source, 'utf8')) as Source);
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error;
    throw new RefusedError(`${source} is no source of a policy (${error.message}); PROTOCOL.md, section 13, shows one`);
  }
}

function encoded(source: string, { version, keys, channels }: Source): Uint8Array {
  const loaded = keys.map(({ name, file }) => {
    const { keyid, pem } = loadVerifier(readFileSync(resolve(dirname(source), file), 'utf8'));
    const body = pem.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
    return { name, keyid, spki: Buffer.from(body.join(''), 'base64') };
  });
  return encodePolicy({ version, keys: loaded, channels: channels.map(withFrom) });
}

const withFrom = ({ name, transport, release }: PolicyChannel): PolicyChannel => ({
  name,
  transport: transport.map((grant) => ({ ...grant, from: (grant.from as number | undefined) ?? 1 })),
  release: release.map(({ keys, ...role }) => ({
    ...role,
    keys: keys.map((grant) => ({ ...grant, from: (grant.from as number | undefined) ?? 1 })),
  })),
});

interface Read {
  readonly bytes: Buffer;
  readonly envelope: Envelope;
  readonly policy: TrustPolicy;
}

/** A statement, or an envelope of one. */
function read(path: string): Read {
  const bytes = readFileSync(path);
  if (bytes.length > POLICY_BYTES) throw new RefusedError(`a policy has at most ${String(POLICY_BYTES)} bytes`);
  const envelope = parseEnvelope(bytes);
  const parsed = parsePolicy(envelope.ok ? envelope.value.payload : bytes);
  if (!parsed.ok) throw refused(parsed.error);
  return {
    bytes,
    policy: parsed.value,
    envelope: envelope.ok ? envelope.value : { payload: encodePolicy(parsed.value), signatures: [] },
  };
}

function sign(args: readonly string[]): number {
  const { values, positionals } = parseArguments(args, optionsOf('policy sign'));
  const { envelope } = read(one(positionals, 'policy sign takes one statement or envelope'));
  process.stdout.write(addSignature(envelope, loadSigner(readFileSync(required(values.key, 'key'), 'utf8'))));
  return 0;
}

function show(args: readonly string[]): number {
  const { values, positionals } = parseArguments(args, optionsOf('policy show'));
  const { bytes, envelope, policy: said } = read(one(positionals, 'policy show takes one envelope'));
  const digest = sha256Digest(bytes);
  const unchecked = envelope.signatures.map(({ keyid }) => keyid);
  if (values.json === true) return printed({ ...said, digest, signatures: unchecked });
  say(policyLine({ version: said.version, digest }));
  for (const { name, keyid } of said.keys) say(`key ${name} ${keyid}`);
  for (const { name, transport, release } of said.channels) {
    say(`channel ${name}`, `  transport: ${transport.map(grantWords).join(', ')}`);
    for (const { role, signatures, keys } of release)
      say(`  ${role}: ${String(signatures)} of ${keys.map(grantWords).join(', ')}`);
  }
  for (const keyid of unchecked) say(`signature by ${keyid}, not checked here`);
  return 0;
}

const grantWords = ({ key, from, until }: PolicyChannel['transport'][number]): string =>
  from <= 1 && until === undefined ? key : `${key} (${String(from)} to ${until === undefined ? 'any' : String(until)})`;

async function adopt(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, optionsOf('policy adopt'));
  const { bytes } = read(one(positionals, 'policy adopt takes one envelope'));
  const why = required(values.reason, 'reason');
  const question = { envelope: bytes.toString('base64'), digest: values.digest, reason: why };
  for (const path of socketsOf(values.socket)) {
    const body = await answered(path, '/v1/policy', question);
    if (values.json === true) {
      printed({ socket: path, ...body });
      continue;
    }
    const how = body.how === 'root-and-persons' ? 'signed by a root and enough persons' : 'by the digest that you gave';
    say(`${path}: ${policyLine(body as unknown as Digested)} counts, ${how}: ${String(body.channels)}`);
    for (const key of Array.isArray(body.stayRevoked) ? body.stayRevoked.map(String) : [])
      note(`key ${key} in it stays revoked`);
    for (const name of Array.isArray(body.elsewhere) ? body.elsewhere.map(String) : [])
      note(`channel ${name} is not configured there`);
  }
  return 0;
}
