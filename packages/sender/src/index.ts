export { auditStaging, type StagingReport } from './audit.ts';
export { senderConfig, type SenderConfig } from './config.ts';
export type { MediaHead } from './media/export.ts';
export { Telemetry } from './observe.ts';
export { sendInput } from './pipeline.ts';
export { runSender } from './run.ts';
export { type Started, startSending, type StartParts } from './start.ts';
export { openMachine, sendSettings, TransmitLoop } from './transmit/loop.ts';
export type { FromTransmit, ToTransmit, TransmitOptions } from './transmit/messages.ts';
