import {
  array,
  boolean,
  bytes,
  checked,
  duration,
  type Infer,
  integer,
  noTwins,
  object,
  oneOf,
  optional,
  path,
  secretFile,
  string,
  withDefault,
} from '@sluice/base';
import { ENVELOPE_BYTES } from '@sluice/ports';
import { parseLinkKey } from '@sluice/trust';

/** Key of one channel on the link (PROTOCOL.md A-2): the same on both sides. */
export const linkKeyConfig = object('key of one channel on the link', {
  asid: integer('which key a datagram names', { min: 0, max: 15 }),
  channel: string('channel that the key belongs to', {
    pattern: /^[a-z0-9][a-z0-9-]{0,31}$/,
    words: 'lower-case letters, digits and hyphens, at most 32',
  }),
  algorithm: withDefault(oneOf('tag algorithm', ['HMAC-SHA-256-128', 'AES-256-GMAC']), 'HMAC-SHA-256-128'),
  keyFile: secretFile('64 hexadecimal digits', parseLinkKey),
  ended: withDefault(
    boolean('true for a key that is not believed any more: its datagrams are refused and counted'),
    false,
  ),
});

export const linkConfig = object('sluice link: the wire-facing half of the isolated side', {
  listen: optional(
    object('socket that link opens itself when none is handed to it by systemd or by the receiver', {
      host: withDefault(string('address of the diode interface'), '0.0.0.0'),
      port: integer('UDP port', { min: 1, max: 65535 }),
      receiveBuffer: withDefault(
        bytes('receive buffer asked of the kernel', { min: 65_536, max: 2 ** 31 - 1 }),
        '64MiB',
      ),
    }),
  ),
  io: withDefault(
    oneOf('how the socket is read: native calls in batches, or node:dgram', ['auto', 'native', 'portable']),
    'auto',
  ),
  keys: checked(
    array('link keys; a channel may have several, while its key is changed', linkKeyConfig, { min: 1, max: 16 }),
    noTwins('asid', ({ asid }) => asid),
  ),
  spoolDirectory: path('working area shared with the receiver (setgid directory of a common group)'),
  stateDirectory: path('private state of link: the highest session accepted'),
  receiverSocket: path('Unix socket on which the receiver listens for link'),
  media: optional(
    object('carried media: `sluice import-media`; without this section there is none', {
      socket: path('Unix socket on which link takes them in'),
      socketMode: withDefault(
        string('file mode of that socket, octal', { pattern: /^0[0-7]{3}$/, words: 'such as 0660' }),
        '0660',
      ),
      blockBytes: withDefault(bytes('symbols held meanwhile for blocks not yet whole', { min: 4_194_304 }), '64MiB'),
    }),
  ),
  chunkLog: withDefault(
    checked(
      object('pcapng record of the datagrams', {
        mode: withDefault(oneOf('what is kept of each datagram', ['off', 'headers', 'full']), 'off'),
        directory: optional(path('where the files go')),
        fileBytes: withDefault(bytes('a file is closed at this size', { min: 524_288 }), '256MiB'),
        fileAge: withDefault(duration('a file is closed at this age', { min: 1000 }), '1h'),
        totalBytes: withDefault(bytes('the oldest files go beyond this total', { min: 1_048_576 }), '4GiB'),
      }),
      ({ mode, directory, fileBytes, totalBytes }) => {
        if (mode !== 'off' && directory === undefined)
          return `has mode "${mode}" but no directory; add one, or set the mode to "off".`;
        return totalBytes < 2 * fileBytes
          ? 'has totalBytes for less than two files of fileBytes; raise it.'
          : undefined;
      },
    ),
    {},
  ),
  limits: withDefault(
    object('named limits', {
      blockBytes: withDefault(bytes('symbols held for blocks not yet whole', { min: 4_194_304 }), '256MiB'),
      unknownToiBytes: withDefault(
        bytes('symbols held for each channel until an FDT names them', { min: 65_536 }),
        '16MiB',
      ),
      objectBytes: withDefault(bytes('largest object', { min: 1, max: 2 ** 40 }), '64GiB'),
      objects: withDefault(integer('objects followed at once', { min: 16, max: 1_000_000 }), 200_000),
      unsignedBytesHeld: withDefault(
        bytes('what a channel may spool before a statement allows it', { min: ENVELOPE_BYTES }),
        '128MiB',
      ),
      spoolBytes: withDefault(bytes('the whole spool', { min: 1_048_576 }), '64GiB'),
      spoolQueueBytes: withDefault(bytes('blocks waiting to be written', { min: 4_194_304 }), '128MiB'),
    }),
    {},
  ),
});

export type LinkConfig = Infer<typeof linkConfig>;
