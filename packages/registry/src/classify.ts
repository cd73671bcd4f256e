import { printable, RegistryError, type RegistryCode } from './errors.ts';
import type { Answer } from './http.ts';

/** First entry of an OCI or Harbor error body `{"errors":[{"code","message"}]}`; empty strings when there is none. */
export function errorOf(answer: Answer): { readonly code: string; readonly message: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(answer.body.toString('utf8'));
  } catch {
    return { code: '', message: '' };
  }
  const errors = (parsed as { errors?: unknown } | null)?.errors;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  if (typeof first !== 'object' || first === null) return { code: '', message: '' };
  const { code, message } = first as { code?: unknown; message?: unknown };
  return { code: typeof code === 'string' ? code : '', message: typeof message === 'string' ? message : '' };
}

const HINTS: Partial<Record<RegistryCode, string>> = {
  'harbor-project-missing': 'create the project or let the importer create it',
  'harbor-quota': 'raise the quota of the project or free space',
  'harbor-immutable-tag': 'release under another tag or change the immutability rule',
  'harbor-policy': 'sign or scan the artifact, or relax the policy of the project',
  'harbor-unauthorized': 'check user name and password, and that the robot account has not expired',
  'harbor-forbidden': 'give the robot account the permission',
  'registry-redirect': 'set the url to the address the registry redirects to',
  'registry-too-large': 'raise the body size limit of the proxy before the registry',
  'registry-not-found': 'check that the project and repository exist and the url is right',
};

function codeOf404(code: string, message: string): RegistryCode {
  if (code.startsWith('BLOB_UPLOAD_')) return 'registry-upload-lost';
  if (/\bin GC\b/i.test(message)) return 'registry-gc';
  if (code === 'MANIFEST_BLOB_UNKNOWN' || code === 'BLOB_UNKNOWN') return 'registry-blob-unknown';
  return 'registry-not-found';
}

function codeOf403(code: string, message: string): RegistryCode {
  if (code !== 'DENIED') return 'harbor-forbidden';
  if (/read.only/i.test(message)) return 'registry-read-only';
  return /storage resource|quota|upper limit/i.test(message) ? 'harbor-quota' : 'harbor-forbidden';
}

function codeOf400(code: string): RegistryCode {
  if (code === 'DIGEST_INVALID') return 'registry-digest-invalid';
  if (code === 'MANIFEST_BLOB_UNKNOWN' || code === 'BLOB_UNKNOWN') return 'registry-blob-unknown';
  if (code.startsWith('BLOB_UPLOAD_')) return 'registry-upload-lost';
  return code.startsWith('MANIFEST_') ? 'registry-manifest-invalid' : 'registry-refused';
}

/** The retry class table of the import: HTTP status, error code and message to one of our codes. */
export function codeOf(answer: Answer): RegistryCode {
  const { code, message } = errorOf(answer);
  const { status } = answer;
  if (status === 401) return isEmptyChallenge(answer) ? 'harbor-project-missing' : 'harbor-unauthorized';
  if (status === 403) return codeOf403(code, message);
  if (status === 404) return codeOf404(code, message);
  if (status === 400) return codeOf400(code);
  if (status === 412) return /immutable/i.test(message) ? 'harbor-immutable-tag' : 'harbor-policy';
  if (status === 413) return 'registry-too-large';
  if (status === 409) return 'registry-conflict';
  if (status === 408 || status === 425 || status === 429 || status >= 500) return 'registry-unavailable';
  return status >= 300 && status < 400 ? 'registry-redirect' : 'registry-refused';
}

/** Harbor answers 401 with an empty challenge on /v2 for a project that does not exist; asking again with a token cannot help. */
export const isEmptyChallenge = (answer: Answer): boolean =>
  answer.status === 401 && answer.path.startsWith('/v2/') && (answer.headers['www-authenticate'] ?? '').trim() === '';

/** The error for an answer that is not what was asked for. */
export function failure(answer: Answer, doing: string): RegistryError {
  const code = codeOf(answer);
  const { code: theirs, message } = errorOf(answer);
  const reason = message === '' ? '' : `: ${printable(message)}`;
  const hint = HINTS[code];
  const text = `${doing} got HTTP ${answer.status}${theirs === '' ? '' : ` ${printable(theirs, 40)}`}${reason}`;
  const todo = hint === undefined ? '' : `; ${hint}`;
  return new RegistryError(code, `${text} (request ${answer.requestId})${todo}`, {
    status: answer.status,
    requestId: answer.requestId,
  });
}
