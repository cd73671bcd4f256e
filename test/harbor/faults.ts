import { answer, refuse, type Answering } from './exchange.ts';

export interface Fault {
  /** Tested against `METHOD /path?query`. */
  readonly match: RegExp;
  /** Answer with this status; or stall: take the request and never answer; or cut: close the connection. */
  readonly status?: number;
  readonly stall?: boolean;
  readonly cut?: boolean;
  readonly code?: string;
  readonly message?: string;
  /** How often (default once), after letting `skip` matching requests pass. */
  readonly times?: number;
  readonly skip?: number;
}

interface Armed extends Fault {
  left: number;
  toSkip: number;
}

/** Failures on order. */
export class Faults {
  #armed: Armed[] = [];

  add(fault: Fault): void {
    this.#armed.push({ ...fault, left: fault.times ?? 1, toSkip: fault.skip ?? 0 });
  }

  clear(): void {
    this.#armed = [];
  }

  /** True when a fault took the request. */
  take(on: Answering): boolean {
    const line = `${on.method} ${on.request.url ?? ''}`;
    const fault = this.#armed.find((candidate) => candidate.left > 0 && candidate.match.test(line));
    if (fault === undefined) return false;
    if (fault.toSkip > 0) {
      fault.toSkip -= 1;
      return false;
    }
    fault.left -= 1;
    if (fault.stall === true) {
      on.request.resume();
      return true;
    }
    if (fault.cut === true) {
      on.request.destroy();
      return true;
    }
    const status = fault.status ?? 500;
    if (fault.code === undefined && status === 413) {
      on.request.resume();
      answer(on, status, '<html>413 Request Entity Too Large</html>');
    } else refuse(on, status, fault.code ?? 'UNKNOWN', fault.message ?? 'failure on order');
    return true;
  }
}
