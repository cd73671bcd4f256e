import { request } from 'node:http';
import { OperationalError } from '@sluice/ports';

/** Longest answer that is read. */
const ANSWER_BYTES = 64 * 1024;

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Posts a JSON document to a daemon's control socket. @throws OperationalError `control-socket` */
export async function ask(
  socketPath: string,
  path: string,
  question: unknown,
  answerBytes = ANSWER_BYTES,
): Promise<Answer> {
  const headers = { 'content-type': 'application/json', host: 'localhost' };
  try {
    return await new Promise<Answer>((resolve, reject) => {
      const sending = request({ socketPath, path, method: 'POST', headers }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text = (text + chunk).slice(0, answerBytes);
        });
        response.once('error', reject);
        response.once('end', () => {
          resolve({ status: response.statusCode ?? 0, body: parsed(text) });
        });
      });
      sending.once('error', reject);
      sending.end(JSON.stringify(question));
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new OperationalError(
      'control-socket',
      `the control socket ${socketPath} does not answer (${why}); is the daemon running, and may you open the socket?`,
      { retryable: true, cause },
    );
  }
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** The code and the sentence of an answer that is a refusal. */
export function refusalOf({ status, body }: Answer): string {
  const detail = typeof body.detail === 'string' ? body.detail : `the daemon answered with status ${String(status)}`;
  return typeof body.code === 'string' ? `${detail} (${body.code})` : detail;
}
