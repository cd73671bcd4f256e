import { S3Client } from '@aws-sdk/client-s3';
import { join } from 'node:path';
import { LASTING_MS, type Logger, rateLimited, type Shutdown } from '@sluice/base';
import { schedule } from '@sluice/chassis';
import type { SenderLedger } from '@sluice/ledger';
import { Inbox, Intake, S3Prefix, WorkArea } from '@sluice/sources';
import { loadSigner } from '@sluice/trust';
import type { ChannelConfig, SenderConfig } from './config.ts';
import type { Telemetry } from './observe.ts';
import { type PipelineParts, sendInput } from './pipeline.ts';

export interface IntakeParts {
  readonly ledger: SenderLedger;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  readonly telemetry: Telemetry;
}

/** How often an inbox is looked at besides the hints of the kernel. */
const INBOX_POLL_MS = 2000;
/** How often inputs that failed for a reason outside are tried again where there is no inbox to poll. */
const RETRY_MS = 10_000;

/** Opens the way in of each channel: its work area, its inbox, its S3 prefix. `submit` comes by the control socket. */
export async function openIntakes(
  config: SenderConfig,
  pipeline: PipelineParts,
  parts: IntakeParts,
): Promise<ReadonlyMap<string, Intake>> {
  const intakes = new Map<string, Intake>();
  for (const channel of config.channels) intakes.set(channel.name, await openIntake(config, channel, pipeline, parts));
  return intakes;
}

async function openIntake(
  config: SenderConfig,
  channel: ChannelConfig,
  pipeline: PipelineParts,
  parts: IntakeParts,
): Promise<Intake> {
  const { logger, shutdown, telemetry } = parts;
  const signer = loadSigner(channel.transportKeyFile.text());
  // Beside the inbox, so that an input is taken by one rename and nothing is copied.
  const work =
    channel.inbox === undefined
      ? join(config.stateDirectory, 'work', channel.name)
      : join(channel.inbox, '..', `.work-${channel.name}`);
  // What waits is looked at again with each poll.
  const limited = rateLimited(logger, { intervalMs: LASTING_MS });
  const intake = new Intake({
    area: new WorkArea({ work, refused: join(config.refusedDirectory, channel.name) }),
    handle: (submission) => sendInput(submission, { name: channel.name, asid: channel.asid, signer }, pipeline),
    events: {
      accepted: ({ name }) => {
        logger.info({ channel: channel.name, input: name }, 'input accepted');
      },
      refused: ({ name }, { code, detail }, path) => {
        telemetry.refused(channel.name, name, code, detail);
        logger.error({ channel: channel.name, input: name, code, detail, path }, 'input refused');
      },
      failed: (name, error) => {
        limited.warn(
          { channel: channel.name, input: name, code: error.code, err: error },
          'input not taken yet; it is tried again',
        );
      },
    },
  });
  await intake.open();
  const onFailure = (error: Error & { readonly code: string }): void => {
    limited.error(
      { channel: channel.name, code: error.code, err: error },
      'a source is unavailable; it is tried again',
    );
  };
  if (channel.inbox === undefined) {
    void intake.retry();
    const timer = setInterval(() => void intake.retry(), RETRY_MS);
    shutdown.add('retry', () => {
      clearInterval(timer);
    });
  } else {
    const running = new Inbox({ inbox: channel.inbox, intake, pollMilliseconds: INBOX_POLL_MS, onFailure }).run(
      shutdown.signal,
    );
    shutdown.add('inbox', () => running);
  }
  if (channel.s3 !== undefined) startS3(config, channel, channel.s3, intake, pipeline, { ...parts, onFailure });
  return intake;
}

function startS3(
  config: SenderConfig,
  channel: ChannelConfig,
  source: NonNullable<ChannelConfig['s3']>,
  intake: Intake,
  pipeline: PipelineParts,
  {
    ledger,
    logger,
    shutdown,
    onFailure,
  }: IntakeParts & { readonly onFailure: (error: Error & { readonly code: string }) => void },
): void {
  const client = new S3Client({
    endpoint: source.endpoint,
    region: source.region,
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    credentials: { accessKeyId: source.accessKeyIdFile.text(), secretAccessKey: source.secretAccessKeyFile.text() },
  });
  const { bucket, prefix } = source;
  const prefixSource = new S3Prefix({
    client,
    bucket,
    prefix,
    intake,
    seen: ledger,
    entries: config.limits.bundleEntries,
    receive: (stream, places, submission) => pipeline.intake.receive(stream, places, submission),
    onFailure,
  });
  const polled = schedule(source.schedule, () => prefixSource.poll(), { name: `s3-${channel.name}`, logger });
  shutdown.add('S3 prefix', () => polled.stop());
}
