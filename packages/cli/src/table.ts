import { DURABILITY } from './durability-table.ts';
import { INCIDENTS } from './incident-table.ts';
import {
  asking,
  control,
  daemon,
  DAEMONS,
  flag,
  json,
  type Option,
  probe,
  reason,
  senderSocket,
  sockets,
  text,
  where,
} from './options.ts';

export interface Entry {
  readonly group: string;
  /** What it does, in one line. */
  readonly about: string;
  readonly operands?: string;
  /** All that may stand at the place of the first operand. */
  readonly words?: readonly string[];
  readonly options: Readonly<Record<string, Option>>;
  /** What else is worth knowing, for its help and the man page. */
  readonly more?: string;
}

/**
 * Every command there is: what `sluice help`, the shell completions and the man page say, and the options by which each is
 * read. So none of them can say another thing than the program does.
 */
export const TABLE = {
  sender: { group: 'daemons', about: 'the staging side', options: daemon },
  receiver: { group: 'daemons', about: 'the isolated side: verifies, publishes, queues', options: daemon },
  link: { group: 'daemons', about: 'its wire-facing half; run by systemd or by the receiver', options: daemon },
  importer: { group: 'daemons', about: 'the isolated side: Harbor, files, replication', options: daemon },

  'release create': {
    group: 'releases',
    about: 'make a release statement of images and files, to standard output',
    operands: 'PATH...',
    options: {
      name: text('NAME', 'what the release is called', { required: true }),
      repository: text('[PATH=]REPO', 'repository that the images, or those of one path, go to', { multiple: true }),
      'approved-by': text('NAME', 'who approved it, for people', { multiple: true }),
      'release-version': text('NUMBER', 'version of its artifacts, or "now"'),
    },
  },
  'release sign': {
    group: 'releases',
    about: 'add a signature to a statement or an envelope; the envelope goes to standard output',
    operands: 'STATEMENT-OR-ENVELOPE',
    options: { key: text('FILE', 'private key, PEM', { required: true }) },
  },
  'release verify': {
    group: 'releases',
    about: 'say what a release lets in, and whether all of these keys signed it',
    operands: 'ENVELOPE',
    options: {
      key: text('FILE', 'public key, PEM', { required: true, multiple: true }),
      json,
    },
  },
  submit: {
    group: 'releases',
    about: 'hand a bundle to the sender',
    operands: 'PATH...',
    options: {
      socket: senderSocket,
      channel: text('NAME', 'channel; may be left out where there is one'),
      name: text('NAME', 'what the input is called in the log'),
      release: text('FILE', 'release envelope, where no path holds it'),
    },
  },

  status: {
    group: 'watching',
    about: 'how things are: link, canary, what is missing, under way, waiting, refused',
    options: { json, ...where },
    more: 'The status is 0 when every check passes. The receiver of this host is asked, or else its sender.',
  },
  bundles: {
    group: 'watching',
    about: 'list bundles, newest first',
    options: {
      state: text('STATE', 'those in this state alone'),
      channel: text('NAME', 'those of this channel alone'),
      limit: text('NUMBER', 'at most so many', { default: '20' }),
      json,
      ...where,
    },
  },
  show: {
    group: 'watching',
    about: 'the whole story of one bundle: what the ledger says of it, and the receipt',
    operands: 'BUNDLE',
    options: { json, ...where },
    more: 'BUNDLE is an id or the beginning of it, a number, or CHANNEL/NUMBER.',
  },
  watch: {
    group: 'watching',
    about: 'tell what happens as it happens; of one bundle until its end',
    operands: '[BUNDLE]',
    options: { json, ...where },
    more: 'With a BUNDLE the status is 0 when it was imported, or sent.',
  },

  pretty: {
    group: 'watching',
    about: 'a log as people read it: journalctl -o cat -u "sluice-*" | sluice pretty',
    options: {},
    more: 'A daemon that runs on a terminal prints this form by itself.',
  },

  ticket: {
    group: 'recovery',
    about: 'isolated side: show what lacks of a bundle, and sign a ticket for it',
    operands: '[BUNDLE]',
    options: {
      socket: text('PATH', 'control socket of the receiver', { default: '/run/sluice/ticket/receiver.sock' }),
      out: text('FILE', 'write the ticket there too'),
      qr: flag('show it as a QR code too'),
      yes: flag('do not ask'),
      json,
    },
    more: 'BUNDLE is an id, a number, or CHANNEL/NUMBER; it may be left out where one bundle is missing.',
  },
  repair: {
    group: 'recovery',
    about: 'staging side: send what a ticket asks for; - for standard input',
    operands: 'FILE',
    options: { socket: senderSocket, json },
  },

  'keys generate': {
    group: 'keys',
    about: 'make a signing key: PREFIX.key.pem and PREFIX.pub.pem; prints its id',
    options: {
      out: text('PREFIX', 'where; nothing is overwritten', { required: true }),
      algorithm: text('NAME', 'kind of key', { default: 'Ed25519', words: ['Ed25519', 'ECDSA-P256', 'ECDSA-P384'] }),
      json,
    },
  },
  'keys link': {
    group: 'keys',
    about: 'make a link key',
    options: { out: text('FILE', 'where; nothing is overwritten', { required: true }), json },
  },
  'keys id': { group: 'keys', about: 'the id of a key in a file', operands: 'FILE', options: { json } },
  'keys list': {
    group: 'keys',
    about: 'keys that are believed, what for, and those that are not',
    options: { socket: sockets, json },
  },
  'keys revoke': {
    group: 'keys',
    about: 'isolated side: for good, at once; lists what it had signed',
    operands: 'KEY',
    options: { socket: sockets, reason, json },
  },
  'keys signed': {
    group: 'keys',
    about: 'isolated side: list what a key signed',
    operands: 'KEY',
    options: asking,
  },
  'keys switch': {
    group: 'keys',
    about: "staging side: go on with the channel's other link key",
    operands: 'CHANNEL',
    options: { socket: senderSocket, reason, json },
  },
  'policy create': {
    group: 'keys',
    about: 'make a trust policy of a source file, to standard output',
    operands: 'SOURCE',
    options: {},
  },
  'policy sign': {
    group: 'keys',
    about: 'add a signature to a policy; the envelope goes to standard output',
    operands: 'STATEMENT-OR-ENVELOPE',
    options: { key: text('FILE', 'private key, PEM', { required: true }) },
  },
  'policy show': {
    group: 'keys',
    about: 'what a policy says, and its digest',
    operands: 'ENVELOPE',
    options: { json },
  },
  'policy adopt': {
    group: 'keys',
    about: 'isolated side: believe the keys in it',
    operands: 'ENVELOPE',
    options: {
      socket: sockets,
      reason,
      digest: text('DIGEST', 'what "policy show" printed, where it is not signed by a root'),
      json,
    },
  },

  pause: { group: 'control', about: 'isolated side: hold imports back, also over a restart', options: control },
  resume: { group: 'control', about: 'isolated side: let imports go on', options: control },
  'quarantine list': { group: 'control', about: 'isolated side: what was refused', options: asking },
  'quarantine show': { group: 'control', about: 'why a bundle was refused', operands: 'BUNDLE', options: asking },
  'quarantine retry': {
    group: 'control',
    about: 'judge a bundle anew, by the keys and policy of now',
    operands: 'BUNDLE',
    options: control,
  },

  retry: {
    group: 'control',
    about: 'isolated side: import now what waits for its next attempt, or once more what was given up',
    operands: '[BUNDLE]',
    options: control,
    more: 'BUNDLE is an id, or CHANNEL/NUMBER; without it everything that waits is tried.',
  },

  plan: {
    group: 'commissioning',
    about: 'what a transfer will take: overhead, memory, time, and how likely it is that something is missing then',
    options: {
      loss: text('SHARE', 'of the datagrams, each lost for itself', { default: '1%' }),
      outage: text('TIME', 'that is to be survived (link.outageSurvived)', { default: '20ms' }),
      rate: text('RATE', 'on the fibre (link.rate)', { default: '1G' }),
      size: text('SIZE', 'content of the bundle', { default: '20G' }),
      fec: text('PROFILE', 'robust, fast, or K+M (link.fec)', { default: 'robust' }),
      symbol: text('BYTES', 'of a symbol (link.symbolBytes)', { default: '1408' }),
      group: text('SIZE', 'interleaved together at most (link.groupBytes)', { default: '64MiB' }),
      passes: text('NUMBER', 'full passes (carousel.passes)', { default: '2' }),
      'top-ups': text('NUMBER', 'passes of repair symbols (carousel.topUps)', { default: '2' }),
      json,
    },
  },

  'linktest send': {
    group: 'commissioning',
    about: 'staging side: send at one rate after the other, for the receiving end to count',
    operands: 'HOST:PORT',
    options: {
      ...probe,
      rates: text('RATE,...', 'steps of the sweep', { default: '100M,200M,300M,400M,500M,600M,700M,800M,900M,950M' }),
      step: text('TIME', 'how long each step lasts', { default: '3s' }),
      symbol: text('BYTES', 'of a symbol (link.symbolBytes)', { default: '1408' }),
      fec: text('PROFILE', 'robust, fast, or K+M', { default: 'robust' }),
    },
    more: 'The key is one of its own: "sluice keys link --out linktest.link", the same file on both sides.',
  },
  'linktest receive': {
    group: 'commissioning',
    about: 'isolated side: count what comes, and recommend rate, FEC and interleaving',
    options: {
      ...probe,
      port: text('PORT', 'UDP port; not that of link', { default: '4434' }),
      host: text('ADDRESS', 'of the diode interface', { default: '0.0.0.0' }),
      buffer: text('SIZE', 'receive buffer asked of the kernel', { default: '64MiB' }),
      quiet: text('TIME', 'after this much silence the sweep is over', { default: '5s' }),
    },
    more: 'It waits for the first datagram as long as it takes.',
  },

  ...DURABILITY,

  ...INCIDENTS,

  doctor: {
    group: 'configuration',
    about: 'what of this host is not as it must be, why it matters, and what mends it',
    operands: 'SIDE',
    words: ['sender', 'receiver'],
    options: {
      etc: text('DIR', 'where configurations lie', { default: '/etc/sluice' }),
      interface: text('IFACE', 'of the diode, where it is not told by the configuration'),
      rate: text('RATE', 'of the link', { default: '500Mbit/s' }),
      pause: text('TIME', 'longest time in which link takes nothing', { default: '1s' }),
      'sender-config': text('DIGEST', 'the configuration that the other side should have'),
      strict: flag('the status is 1 for warnings too'),
      quiet: flag('say only what is wrong'),
      json,
    },
    more: 'The status is 0 when nothing is wrong.',
  },
  'config check': {
    group: 'configuration',
    about: 'read a configuration as its daemon does, keys too, and say what is wrong',
    operands: 'DAEMON FILE',
    words: DAEMONS,
    options: {},
  },
  'config reference': {
    group: 'configuration',
    about: 'every key of a configuration with what it means, as a Markdown table',
    operands: 'DAEMON',
    words: DAEMONS,
    options: {},
  },

  'config schema': {
    group: 'configuration',
    about: 'the same as a JSON Schema, for editors and programs',
    operands: 'DAEMON',
    words: DAEMONS,
    options: {},
  },

  help: { group: 'help', about: 'list the commands, or say more of one', operands: '[COMMAND]', options: {} },
  completion: {
    group: 'help',
    about: 'shell completion: source <(sluice completion bash)',
    operands: 'SHELL',
    words: ['bash', 'zsh'],
    options: {},
  },
  man: { group: 'help', about: 'the manual page, in roff: sluice man > sluice.1', options: {} },
} as const satisfies Readonly<Record<string, Entry>>;

export type CommandName = keyof typeof TABLE;

/** The options of a command, as `parseArguments` takes them. */
export const optionsOf = <N extends CommandName>(name: N): (typeof TABLE)[N]['options'] => TABLE[name].options;

export const ENTRIES: readonly (readonly [name: string, entry: Entry])[] = Object.entries(TABLE);
