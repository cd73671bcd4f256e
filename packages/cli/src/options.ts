/** An option of a command. Type, `multiple` and `default` are what `parseArgs` goes by; the rest is for people. */
export interface Option {
  readonly type: 'string' | 'boolean';
  readonly about: string;
  /** What stands behind it, such as FILE. */
  readonly value?: string;
  readonly required?: boolean;
  readonly multiple?: boolean;
  readonly default?: string;
  /** All that may stand behind it. */
  readonly words?: readonly string[];
}

interface Text {
  readonly type: 'string';
  readonly value: string;
  readonly about: string;
}

/** An option that takes a value. */
export function text(value: string, about: string): Text;
export function text<const M extends Partial<Option>>(value: string, about: string, more: M): Text & M;
export function text(value: string, about: string, more: Partial<Option> = {}): Text {
  return { ...more, type: 'string', value, about };
}

/** An option that is there or not. */
export const flag = (about: string) => ({ type: 'boolean', about }) as const;

export const DAEMONS = ['sender', 'receiver', 'link', 'importer'] as const;
export const daemon = {
  config: text('FILE', 'configuration file', { required: true }),
  check: flag('only say whether it could run here'),
} as const;
/** Which daemon is asked. */
export const where = {
  at: text('ADDRESS', 'daemon to ask, such as 127.0.0.1:9181; else SLUICE_AT, else this host'),
  ca: text('FILE', 'with https: authority of its certificate, PEM'),
  cert: text('FILE', 'with https: our certificate, PEM'),
  key: text('FILE', 'with https: its private key, PEM'),
} as const;
export const json = flag('print JSON');
/** What both ends of a link test must be told. */
export const probe = {
  key: text('FILE', 'link key of the test', { required: true }),
  asid: text('NUMBER', 'by which datagrams name it; one that no channel has', { default: '15' }),
  io: text('HOW', 'as link.io', { default: 'auto', words: ['auto', 'native', 'portable'] }),
  json,
} as const;
export const senderSocket = text('PATH', 'control socket of the sender', {
  default: '/run/sluice/control/sender.sock',
});

/** Of every command that changes what is believed or let through: it goes into the ledger. */
export const reason = text('TEXT', 'why; it goes into the ledger');
export const sockets = text('PATH', 'control socket; may be given several times', { multiple: true });
export const RECEIVER_SOCKET = '/run/sluice/receiver/control.sock';
export const receiverSocket = text('PATH', 'control socket of the receiver', { default: RECEIVER_SOCKET });
export const asking = { socket: receiverSocket, json } as const;
export const control = { socket: receiverSocket, reason, json } as const;
