import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../world/processes.ts';

const START_MS = 60_000;

interface Answer {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

/** Debian's Chromium without a window, driven by the DevTools protocol over its WebSocket: Node has all that it takes. */
export class Chromium {
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #hearers = new Map<string, (answer: Answer) => void>();
  #last = 0;

  private constructor(child: ChildProcess, directory: string, socket: WebSocket) {
    this.#child = child;
    this.#directory = directory;
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const answer = JSON.parse(String(data)) as Answer;
      if (answer.id !== undefined) {
        this.#waiting.get(answer.id)?.(answer);
        this.#waiting.delete(answer.id);
      } else if (answer.sessionId !== undefined) this.#hearers.get(answer.sessionId)?.(answer);
    });
  }

  static async start(): Promise<Chromium> {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-chromium-'));
    const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'];
    const child = spawn(
      'chromium',
      [...flags, '--remote-debugging-port=0', `--user-data-dir=${directory}`, 'about:blank'],
      { stdio: 'ignore', env: { ...process.env, HOME: directory } },
    );
    const [port = '', path = ''] = await until('Chromium to listen', START_MS, () => {
      if (child.exitCode !== null) throw new Error(`chromium ended with ${String(child.exitCode)}`);
      try {
        const lines = readFileSync(join(directory, 'DevToolsActivePort'), 'utf8').split('\n');
        return lines.length > 1 ? lines : undefined;
      } catch {
        return undefined;
      }
    });
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
    await once(socket, 'open');
    return new Chromium(child, directory, socket);
  }

  async send(
    method: string,
    params: Readonly<Record<string, unknown>> = {},
    sessionId?: string,
  ): Promise<Readonly<Record<string, unknown>>> {
    this.#last += 1;
    const id = this.#last;
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
    const { result, error } = await answered;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  /** A new tab at an address. */
  async open(url: string): Promise<Tab> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const tab = new Tab(this, String(sessionId));
    this.#hearers.set(String(sessionId), (answer) => tab.hear(answer.method ?? '', answer.params ?? {}));
    for (const domain of ['Page', 'Runtime', 'Log']) await tab.send(`${domain}.enable`);
    await tab.send('Page.navigate', { url });
    return tab;
  }

  async stop(): Promise<void> {
    const ended = this.#child.exitCode === null ? once(this.#child, 'exit') : undefined;
    this.#socket.close();
    this.#child.kill();
    await ended;
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 10 });
  }
}

export class Tab {
  readonly #chromium: Chromium;
  readonly #session: string;
  /** What the page or the browser complained of: errors of scripts, refused by the content security policy, and so on. */
  readonly complaints: string[] = [];

  constructor(chromium: Chromium, session: string) {
    this.#chromium = chromium;
    this.#session = session;
  }

  send(method: string, params: Readonly<Record<string, unknown>> = {}): Promise<Readonly<Record<string, unknown>>> {
    return this.#chromium.send(method, params, this.#session);
  }

  hear(method: string, params: Readonly<Record<string, unknown>>): void {
    if (method === 'Runtime.exceptionThrown') this.complaints.push(JSON.stringify(params.exceptionDetails));
    if (method === 'Page.javascriptDialogOpening') this.complaints.push('a dialog opened');
    if (method === 'Log.entryAdded') {
      const { text, source } = params.entry as { text: string; source: string };
      // A daemon that is stopped on purpose cannot be reached.
      if (source !== 'network') this.complaints.push(text);
    }
  }

  /** The value of an expression in the page. */
  async value<T>(expression: string): Promise<T> {
    const answer = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (answer.exceptionDetails !== undefined) throw new Error(JSON.stringify(answer.exceptionDetails));
    return (answer.result as { value: T }).value;
  }

  /** What a person reads in an element; empty when it is hidden. */
  text(id: string): Promise<string> {
    return this.value<string>(`(() => {
      const element = document.getElementById(${JSON.stringify(id)});
      return element?.checkVisibility() ? element.innerText : '';
    })()`);
  }

  level(id: string): Promise<string> {
    return this.value<string>(`document.getElementById(${JSON.stringify(id)})?.dataset.level ?? ''`);
  }

  /** A window of this size and scheme, as a phone has it or a screen. */
  async look(width: number, height: number, scheme: 'light' | 'dark'): Promise<void> {
    const mobile = width < 600;
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile });
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
  }

  async screenshot(file: string): Promise<void> {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true });
    writeFileSync(file, Buffer.from(String(data), 'base64'));
  }
}
