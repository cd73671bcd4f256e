import { X509Certificate } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { either, fail, type Finding, ok, unknown, warn } from './finding.ts';
import { namesIn } from './host.ts';

const DAY_MS = 86_400_000;
/** A certificate is spoken of this long before its end. */
const SOON_DAYS = 30;
const OTHERS = 0o077;
const TLS_MS = 5000;

/** Nobody but root reads the secrets of a daemon; systemd hands them over. */
export function secretFindings(etc: string, daemon: string): Finding[] {
  const directory = join(etc, 'keys', daemon);
  const check = `keys:${daemon}`;
  const names = namesIn(directory);
  const open = ['.', ...names].filter((name) => {
    try {
      return (lstatSync(join(directory, name)).mode & OTHERS) !== 0;
    } catch {
      return false;
    }
  });
  if (open.length > 0)
    return [
      fail(
        check,
        `others than their owner may open ${open.map((name) => join(directory, name)).join(', ')}`,
        'whoever has a key is the daemon',
        `chmod -R go= ${directory}`,
      ),
    ];
  return names.length === 0
    ? [unknown(check, `${directory} is empty, or only root may look into it`)]
    : [ok(check, `${String(names.length)} files in ${directory}, for root alone`)];
}

/** How long the certificates in a file still hold. */
export function certificateFindings(what: string, file: string, now = Date.now()): Finding {
  const check = `certificate:${what}`;
  try {
    const blocks = readFileSync(file, 'utf8').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    const ends = blocks.map((block) => new X509Certificate(block).validToDate.getTime());
    if (ends.length === 0)
      return fail(
        check,
        `${file} holds no certificate`,
        'the connection cannot be made',
        `openssl x509 -in ${file} -text`,
      );
    return judged(check, Math.min(...ends), now, `openssl x509 -in ${file} -noout -enddate`);
  } catch (error) {
    return fail(
      check,
      `${file}: ${error instanceof Error ? error.message : String(error)}`,
      'the connection cannot be made',
      `ls -l ${file}`,
    );
  }
}

function judged(check: string, end: number, now: number, command: string): Finding {
  const days = Math.floor((end - now) / DAY_MS);
  const date = new Date(end).toISOString().slice(0, 10);
  if (days < 0) return fail(check, `it ended on ${date}`, 'connections are refused', command);
  return either(days >= SOON_DAYS, [check, `good until ${date}`], () =>
    warn(check, `it ends on ${date}, in ${String(days)} days`, 'connections are refused from then on', command),
  );
}

/** The certificate that a server shows, whoever signed it. */
export function serverCertificate(what: string, url: string, now = Date.now()): Promise<Finding> {
  const { hostname, port } = new URL(url);
  const check = `certificate:${what}`;
  return new Promise((resolve) => {
    const socket = connect({
      host: hostname,
      port: port === '' ? 443 : Number(port),
      servername: hostname,
      rejectUnauthorized: false,
    });
    const end = (finding: Finding): void => {
      socket.destroy();
      resolve(finding);
    };
    socket.setTimeout(TLS_MS, () => end(unknown(check, `${hostname} does not answer`)));
    socket.once('error', (error) => end(unknown(check, `${hostname}: ${error.message}`)));
    socket.once('secureConnect', () => {
      const { valid_to: until } = socket.getPeerCertificate();
      end(
        judged(
          check,
          Date.parse(until),
          now,
          `openssl s_client -connect ${hostname}:${port === '' ? '443' : port} </dev/null | openssl x509 -noout -enddate`,
        ),
      );
    });
  });
}
