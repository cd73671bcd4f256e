import type { Logger } from '@sluice/base';
import type { BlobStore, Digest } from '@sluice/ports';
import { type SenderConfig, sendInput, startSending, type StartParts, Telemetry } from '@sluice/sender';
import { openFsStore } from '@sluice/store';
import { algorithmOf, asidOf, loggerOf, type SenderProcess, type Settings, type Surroundings } from './hosts.ts';
import { digestOf, type Input } from './inputs.ts';
import { KEYS, linkKeyText } from './keys.ts';

type Submission = Parameters<typeof sendInput>[0];
type Intake = ReturnType<StartParts['intakeOf']>;

/** Where the sender finds the key of tickets. */
export const TICKET_KEY = '/staging/state/ticket.pem';

function senderConfigOf(settings: Settings): SenderConfig {
  const { symbolBytes, maxBlock, repair, rate, passes, gapMs, channels } = settings;
  const config = {
    stateDirectory: '/staging/state',
    health: { diskFree: 4096, queueAge: 3_600_000 },
    link: {
      ...{ host: 'isolated', port: 5400, io: 'portable', rate, symbolBytes, outageSurvived: 5, groupBytes: 2 ** 18 },
      ...{ statementLead: 50, fec: { profile: 'explicit', maxBlock, repair } },
    },
    carousel: { passes, gap: gapMs, topUps: 1, timeToLive: 3 },
    tickets: { again: 5000, waiting: 16 },
    heartbeat: 1000,
    channels: channels.map((name, asid) => ({
      ...{ name, asid, algorithm: algorithmOf(settings), priority: 0, ticketKeyFiles: [TICKET_KEY] },
      linkKeyFile: { text: () => linkKeyText(asid) },
      transportKeyFile: { text: () => KEYS.transport.privatePem },
    })),
    limits: { queuedBundles: 1000 },
  };
  // The parts of a configuration that files, sockets and HTTP need are nobody's here.
  return config as unknown as SenderConfig;
}

const INTAKE_MS = 1000;

/** `sluice sender`, wired as its `run.ts` does it; inputs lie outside, as in an inbox, until they are sealed. */
export async function runSimulatedSender(
  { settings, say, exit }: Surroundings,
  inbox: () => readonly Input[],
): Promise<SenderProcess> {
  const logger = loggerOf('sender', say);
  const stopped = new AbortController();
  const shutdown = {
    add: () => undefined,
    signal: stopped.signal,
    stop: (reason: string) => {
      exit(reason);
      return Promise.resolve();
    },
    uninstall: () => undefined,
  };
  const taken = new Set<string>();
  const { ledger, transmission, pipeline } = await startSending({
    config: senderConfigOf(settings),
    logger,
    shutdown,
    telemetry: new Telemetry(),
    configDigest: digestOf(Buffer.from('config')),
    intakeOf: (storeRoot) => new ReadyIntake(storeRoot),
  });
  repeatedly(INTAKE_MS, logger, async () => {
    for (const input of inbox()) {
      if (taken.has(input.id)) continue;
      const channel = { name: input.channel, asid: asidOf(settings, input.channel), signer: KEYS.transport.signer };
      await sendInput(
        { id: input.id, name: input.id, home: '', directory: '', input } as Submission,
        channel,
        pipeline,
      );
      taken.add(input.id);
    }
  });
  return { ledger, transmission };
}

/** One after the other; what the world makes fail is tried again. */
function repeatedly(ms: number, logger: Logger, task: () => Promise<void>): void {
  let busy = false;
  setInterval(() => {
    if (busy) return;
    busy = true;
    task()
      .catch((error: unknown) => {
        if (typeof (error as { code?: unknown }).code !== 'string') throw error;
        logger.warn({ err: error }, 'an input is tried again');
      })
      .finally(() => {
        busy = false;
      });
  }, ms);
}

/** Stop 1 is the intake thread's, which reads directories and archives: here the content lies ready. */
class ReadyIntake implements Intake {
  readonly #root: string;
  #opened: Promise<BlobStore> | undefined;

  constructor(storeRoot: string) {
    this.#root = storeRoot;
  }

  async collect(submission: Submission): ReturnType<Intake['collect']> {
    const { input } = submission as Submission & { readonly input: Input };
    const store = await this.#store();
    for (const { digest, size, content } of input.objects) await store.put(digest, size, content);
    const release = { digest: digestOf(input.release), size: input.release.length };
    await store.put(release.digest, release.size, input.release);
    const bytes = [...input.blobs.values()].reduce((sum, { length }) => sum + length, 0);
    const objects = input.objects.map(({ digest, size, contentType }) => ({ digest, size, contentType }));
    return { ok: true, value: { name: input.id, release, objects, blobs: input.blobs.size, bytes } };
  }

  receive(): never {
    throw new Error('nothing is submitted here');
  }

  async missing(objects: Parameters<Intake['missing']>[0]): Promise<readonly Digest[]> {
    const store = await this.#store();
    const gone: Digest[] = [];
    for (const { digest, size } of objects) {
      const found = await store.readVerified(digest, size).catch(() => undefined);
      if (found === undefined) gone.push(digest);
    }
    return gone;
  }
  /** Opened with the first call; where that fails, with the next one. */
  #store(): Promise<BlobStore> {
    this.#opened ??= openFsStore(this.#root, 'intake').catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }
}
