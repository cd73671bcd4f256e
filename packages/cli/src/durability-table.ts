import { control, flag, json, reason, senderSocket, text } from './options.ts';

const group = 'durability';
const SIDES = ['sender', 'receiver', 'importer'] as const;
const config = text('FILE', 'configuration of the daemon');
const link = text('FILE', 'configuration of link, where the receiver does not name it');

/** What is kept, vouched for, and put back. */
export const DURABILITY = {
  'ledger verify': {
    group,
    about: 'whether the chain of a ledger holds, its checkpoints, its bundles, and the store',
    operands: '[DAEMON]',
    words: SIDES,
    options: {
      config,
      ledger: text('FILE', 'a ledger by itself, for instance of a backup'),
      key: text('FILE', 'public key of checkpoints, PEM', { multiple: true }),
      store: flag('look for every blob of the bundles in the store'),
      deep: flag('the same, and hash it'),
      json,
    },
    more: 'It may run beside the daemon, and changes nothing. The status is 0 when all holds, 3 when the ledger does not, 4 when the store does not.',
  },
  backup: {
    group,
    about: 'ledger, session, configuration and public keys into a new directory, while the daemon runs',
    operands: 'DAEMON DIR',
    words: SIDES,
    options: { config, link, 'with-keys': flag('private keys and passwords, too') },
  },
  restore: {
    group,
    about: 'put a backup back, with the daemon stopped and no ledger in its place',
    operands: 'DAEMON DIR',
    words: SIDES,
    options: {
      config,
      link,
      key: text('FILE', 'public key that must have signed the backup, PEM', { multiple: true }),
      'session-above': text('NUMBER', 'sender: highest session that was used, where the clock cannot tell'),
    },
  },
  restored: {
    group,
    about: 'staging side, after a restore: how far the numbers of a channel went',
    operands: 'CHANNEL NUMBER [ID]',
    options: { socket: senderSocket, reason },
    more: 'The receiver names the command: check sender:numbers-CHANNEL.',
  },
  'caught-up': {
    group,
    about: 'isolated side, after a restore: no more will come again, imports go on',
    operands: 'CHANNEL',
    options: control,
  },
} as const;
