import {
  type FailureClass,
  hostile,
  OperationalError,
  REGISTRY_CODES,
  type RegistryCode,
  terminalText,
} from '@sluice/ports';

export { REGISTRY_CODES, type FailureClass, type RegistryCode } from '@sluice/ports';

/** A failure of a registry or of Harbor, with its class and, where there was an answer, HTTP status and X-Request-Id. */
export class RegistryError extends OperationalError {
  readonly failureClass: FailureClass;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  constructor(
    code: RegistryCode,
    message: string,
    about: { status?: number; requestId?: string; cause?: unknown } = {},
  ) {
    super(code, message, { retryable: REGISTRY_CODES[code] !== 'fatal', cause: about.cause });
    this.name = 'RegistryError';
    this.failureClass = REGISTRY_CODES[code];
    this.status = about.status;
    this.requestId = about.requestId;
  }
}

const TEXT_LIMIT = 200;

/** Text from outside made fit for an error sentence. */
export const printable = (text: string, limit = TEXT_LIMIT): string => terminalText(hostile(text, limit));
