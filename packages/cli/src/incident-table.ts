import { flag, json, reason, senderSocket, text } from './options.ts';

const group = 'incidents';

const replayed = {
  keys: text('FILE', 'the "keys" of a link configuration; without it tags are taken as recorded'),
  from: text('TIME', 'no datagram before it, such as 2026-11-24T08:15:00Z'),
  to: text('TIME', 'no datagram behind it'),
  session: text('TSI', 'datagrams of this session alone'),
  bundle: text('BUNDLE', 'objects of this bundle alone: its id, or CHANNEL/NUMBER'),
  object: text('DIGEST', 'this object alone', { multiple: true }),
  port: text('PORT', 'of a capture, take the datagrams to this port alone'),
  work: text('DIR', 'where it works; room for the objects that are open', { default: '/tmp' }),
  json,
} as const;

const chunks = '/var/lib/sluice/chunks';
const places = {
  ledger: text('FILE', 'ledger of the receiver', { default: '/var/lib/sluice/receiver/ledger.sqlite' }),
  store: text('DIR', 'store', { default: '/var/lib/sluice/store' }),
  quarantine: text('DIR', 'quarantine', { default: '/var/lib/sluice/quarantine' }),
} as const;

const LOGS = 'LOG is a chunk log, any pcap or pcapng of the link, or a directory of chunk logs.';

/** Commands that carry by hand, and that come after something has happened. */
export const INCIDENTS = {
  export: {
    group: 'recovery',
    about: 'staging side: a bundle with its FEC as files to carry by hand',
    operands: 'BUNDLE',
    options: {
      to: text('DIR', 'where the files go', { required: true }),
      'part-bytes': text('SIZE', 'longest file', { default: '1GiB' }),
      'spare-parts': text('NUMBER', 'files that may be lost or damaged', { default: '2' }),
      socket: senderSocket,
      reason,
      json,
    },
    more: 'BUNDLE is an id, a number, or CHANNEL/NUMBER.',
  },
  'import-media': {
    group: 'recovery',
    about: 'isolated side: take such files in, as if they had come by the fibre',
    operands: 'DIR',
    options: {
      socket: text('PATH', 'media socket of link', { default: '/run/sluice/media/link.sock' }),
      json,
    },
    more: 'The status is 0 when every object in them is whole. A second time does no harm.',
  },
  'replay verify': {
    group,
    about: 'run the receiver again over logs, and account for every verdict and object',
    operands: 'LOG...',
    options: { ...replayed, out: text('DIR', 'keep what came out') },
    more: `${LOGS} The word verify may be left out. The status is 0 when everything in the logs came out whole.`,
  },
  'replay extract': {
    group,
    about: 'take objects out of logs; of partial ones what there is, with a map of the holes',
    operands: 'LOG...',
    options: { ...replayed, out: text('DIR', 'where they go', { required: true }) },
    more: LOGS,
  },
  'replay report': {
    group,
    about: 'a report of what the link did, as one HTML file, with the same numbers as JSON beside it',
    operands: 'LOG...',
    options: {
      ...replayed,
      out: text('FILE', 'name of the HTML file', { required: true }),
      ledger: text('FILE', 'ledger of the receiver, to compare with'),
    },
    more: LOGS,
  },
  'replay send': {
    group,
    about: 'play what is authentic in logs to a receiver, as media sessions',
    operands: 'LOG...',
    options: {
      ...replayed,
      target: text('HOST:PORT', 'receiver', { required: true }),
      rate: text('RATE', 'at this rate; without it as recorded'),
    },
    more: `${LOGS} It needs --keys: what is sent is tagged anew. A live session is left alone by it.`,
  },
  'chunklog verify': {
    group,
    about: 'hold the chunk logs against their signed index: what was altered, removed or put in shows',
    operands: '[DIR]',
    options: {
      key: text('FILE', 'public key of the index', { required: true, multiple: true }),
      ledger: text('FILE', 'ledger of the receiver: then an end that was cut off shows, too'),
      json,
    },
    more: `DIR is ${chunks} where it is not given. The status is 0 when nothing is amiss.`,
  },
  hold: {
    group,
    about: 'exempt a stretch of time from the retention of the chunk log',
    operands: '[FROM TO]',
    options: {
      directory: text('DIR', 'chunk log', { default: chunks }),
      reason: text('TEXT', 'why'),
      list: flag('list what is held'),
      release: text('HOLD', 'end this hold'),
      json,
    },
    more: 'FROM and TO are times such as 2026-11-24T08:15:00Z.',
  },
  case: {
    group,
    about: 'all that is known of a bundle in one signed archive',
    operands: 'BUNDLE',
    options: {
      key: text('FILE', 'private key that signs it, PEM', { required: true }),
      out: text('FILE', 'the archive, a tar', { required: true }),
      ...places,
      chunks: text('DIR', 'chunk log', { default: chunks }),
      'no-logs': flag('without a slice of the chunk log'),
      json,
    },
    more: 'BUNDLE is an id, a number, or CHANNEL/NUMBER.',
  },
  impact: {
    group,
    about: 'what entered by a key, by a bundle or since a time, and where it is now',
    options: {
      signer: text('KEY', 'all that this key signed: its id, or its public key file'),
      bundle: text('BUNDLE', 'this bundle: its id, a number, or CHANNEL/NUMBER'),
      since: text('TIME', 'all that came since, such as 2026-11-24T08:15:00Z'),
      ...places,
      json,
    },
    more: 'One of --signer, --bundle and --since is needed.',
  },
} as const;
