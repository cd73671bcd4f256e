export { senderConfig, type SenderConfig } from './config.ts';
export type { IntakeThread } from './intake/thread.ts';
export { Telemetry } from './observe.ts';
export { sendInput } from './pipeline.ts';
export { runSender } from './run.ts';
export { Transmission } from './transmission.ts';
export type { FromTransmit, ToTransmit, TransmitOptions } from './transmit/messages.ts';
export { StagedObjects } from './transmit/staged-objects.ts';
