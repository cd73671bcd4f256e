import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { Logger } from '@sluice/base';
import { bindUdp } from '@sluice/udp';

export interface SupervisorOptions {
  /** Configuration file of link. */
  readonly config: string;
  readonly host: string;
  readonly port: number;
  readonly receiveBuffer: number;
  /** Program and arguments before `link --config FILE`. */
  readonly command: readonly string[];
  readonly logger: Logger;
}

/** The descriptor under which the child finds its socket (sd_listen_fds(3)). */
const SOCKET_FD = 3;
/** As the unit of link has it: what it has no time for is lost, so it comes before those who only come later. */
const NICENESS = -5;
const RESTART_MS = 500;
const BIND_ATTEMPTS = 10;

/**
 * Runs link where systemd does not: makes its UDP socket, hands it over, and starts link again when it ends. The socket
 * stays open between, so what comes meanwhile waits in the kernel's buffer.
 */
export class LinkSupervisor {
  readonly #options: SupervisorOptions;
  readonly #socket: number;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  restarts = 0;

  private constructor(options: SupervisorOptions, socket: number) {
    this.#options = options;
    this.#socket = socket;
    this.#start();
  }

  static async begin(options: SupervisorOptions): Promise<LinkSupervisor> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return new LinkSupervisor(options, (await bindUdp(options)).fd);
      } catch (error) {
        // Link of a receiver that was killed may still be on its way out.
        if (attempt === BIND_ATTEMPTS) throw error;
        await new Promise((resolve) => setTimeout(resolve, RESTART_MS));
      }
    }
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child?.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    }
    closeSync(this.#socket);
  }

  #start(): void {
    const { command, config, logger } = this.#options;
    const [program, ...args] = command;
    if (program === undefined) throw new Error('no command to run link with');
    const env = { ...process.env };
    for (const ours of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'LISTEN_PID']) Reflect.deleteProperty(env, ours);
    const child = spawn(program, [...args, 'link', '--config', config], {
      // Its standard input ends when we do, however we end: then link ends too.
      stdio: ['pipe', 'inherit', 'inherit', this.#socket],
      env: { ...env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'link', SLUICE_SUPERVISED: '1' },
    });
    this.#child = child;
    const isFirst = child.pid !== undefined && comesFirst(child.pid);
    logger.info({ link: child.pid, fd: SOCKET_FD, niceness: isFirst ? NICENESS : 0 }, 'link started');
    child.once('error', (err) => {
      logger.error({ err }, 'link could not be started');
    });
    child.once('exit', (code, signal) => {
      if (this.#stopping) return;
      this.restarts += 1;
      logger.error({ code, signal }, 'link ended; it is started again');
      this.#timer = setTimeout(() => {
        this.#start();
      }, RESTART_MS);
    });
  }
}

/** False where we may not say so, or the process has ended. */
function comesFirst(pid: number): boolean {
  try {
    setPriority(pid, NICENESS);
    return true;
  } catch {
    return false;
  }
}
