import { oneLine, type Logger } from '@sluice/base';
import type { FastifyInstance, FastifyReply } from 'fastify';

export const PROBLEM_TYPE = 'application/problem+json';

/** A refused request; `detail` is one sentence for the caller. Throw it from any route. */
export class HttpProblem extends Error {
  readonly statusCode: number;
  constructor(statusCode: number, detail: string) {
    super(detail);
    this.name = 'HttpProblem';
    this.statusCode = statusCode;
  }
}

/** Answers with a problem document (RFC 9457). */
export const sendProblem = (reply: FastifyReply, status: number, detail: string): FastifyReply =>
  reply
    .code(status)
    .type(PROBLEM_TYPE)
    .send(JSON.stringify({ status, title: TITLES[status] ?? 'Error', detail: oneLine(detail) }));

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  507: 'Insufficient Storage',
};

/** Every error becomes a problem document; what is not the caller's fault is logged and its text kept inside. */
export function installProblems(app: FastifyInstance, logger: Logger): void {
  app.setErrorHandler((error, request, reply) => {
    const status = statusOf(error);
    if (status < 500 || error instanceof HttpProblem) {
      return sendProblem(reply, status, error instanceof Error ? error.message : 'The request was refused.');
    }
    logger.error({ err: error, method: request.method, url: request.url }, 'a request failed');
    return sendProblem(reply, status, 'The service met an error; its log says which.');
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, 404, `There is no ${request.method} ${request.url} here.`),
  );
}

function statusOf(error: unknown): number {
  const status: unknown = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  return typeof status === 'number' && status >= 400 && status < 600 ? status : 500;
}
