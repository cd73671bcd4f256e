import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import {
  array,
  checked,
  type Infer,
  integer,
  object,
  optional,
  path,
  secretFile,
  string,
  withDefault,
} from '@sluice/base';

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;
const NAME = { pattern: /^[A-Za-z0-9.-]{1,253}$/, words: 'a host name' };
const INTERFACE = { pattern: /^[^\s/]{1,15}$/, words: 'name of an interface, such as eth1' };

/** The read-only port of a daemon. Beyond loopback it wants TLS, client certificates, and to know where it must never be. */
export const httpConfig = (port: number) =>
  withDefault(
    checked(
      object('read-only HTTP port', {
        host: withDefault(string('address'), '127.0.0.1'),
        port: withDefault(integer('TCP port', { min: 0, max: 65535 }), port),
        tls: optional(
          object('TLS with client certificates; needed beyond loopback', {
            certFile: path('certificate of this service and its chain, PEM'),
            keyFile: secretFile('its private key, PEM'),
            clientCaFile: path('authority whose certificates clients must show, PEM'),
          }),
        ),
        names: withDefault(
          array('further names that clients may call this service by', string('host name', NAME), { max: 16 }),
          [],
        ),
        linkInterface: optional(string('interface of the link, on which the port must never be', INTERFACE)),
      }),
      (http) => httpFault(http),
    ),
    {},
  );

export type HttpConfig = Infer<ReturnType<typeof httpConfig>>;
interface Where {
  readonly host: string;
  readonly tls?: unknown;
  readonly linkInterface?: string | undefined;
}

type Interfaces = Readonly<Record<string, readonly { readonly address: string }[] | undefined>>;

/** What is wrong with where the port is to be. The interfaces are looked at only where it matters: a sandbox may forbid it. */
export function httpFault(
  { host, tls, linkInterface }: Where,
  interfaces: () => Interfaces = networkInterfaces,
): string | undefined {
  if (LOOPBACK.test(host)) return undefined;
  if (isIP(host) === 0) return `has the host "${host}"; write localhost, or the address of an interface.`;
  if (isWildcard(host)) return `has the host "${host}", which is every interface, the link's too; write one address.`;
  if (tls === undefined)
    return `has the host "${host}" without "tls"; beyond loopback clients must show a certificate.`;
  if (linkInterface === undefined) {
    return `has the host "${host}" without "linkInterface"; name the link's, so that the port is never on it.`;
  }
  const there = addressesOf(linkInterface, interfaces);
  if (typeof there === 'string') return `has the host "${host}", and ${there}`;
  if (there === undefined) return `has the linkInterface "${linkInterface}", and there is no such interface.`;
  return there.some(({ address }) => address === host)
    ? `has the host "${host}", which is on the link's interface ${linkInterface}; write the address of another.`
    : undefined;
}

function addressesOf(name: string, interfaces: () => Interfaces): Interfaces[string] | string {
  try {
    const all = interfaces();
    return Object.hasOwn(all, name) ? all[name] : undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return `the interfaces cannot be looked at (${why}); allow the unit AF_NETLINK in RestrictAddressFamilies.`;
  }
}

const isWildcard = (address: string): boolean => /^(0\.0\.0\.0|[0:]*::?[0:]*|::ffff:0\.0\.0\.0)$/.test(address);
