import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';

/** The files of the status page, beside `src`. */
const DIRECTORY = join(import.meta.dirname, '../page');
const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/page.css', 'page.css', 'text/css; charset=utf-8'],
  ['/page.js', 'page.js', 'text/javascript; charset=utf-8'],
  ['/icon.svg', 'icon.svg', 'image/svg+xml'],
] as const;

/** Nothing runs that is not one of our files, and nothing is fetched from anywhere else. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** The status page at `/`: it asks /v1/events, and /v1/overview where there is no stream to be had. */
export function installPage(app: FastifyInstance): void {
  for (const [path, file, type] of FILES) {
    const bytes = readFileSync(join(DIRECTORY, file));
    app.get(path, async (_, reply) =>
      reply
        .headers({
          'content-security-policy': POLICY,
          'referrer-policy': 'no-referrer',
          'x-frame-options': 'DENY',
          'cross-origin-opener-policy': 'same-origin',
          'cross-origin-resource-policy': 'same-origin',
        })
        .type(type)
        .send(bytes),
    );
  }
}
