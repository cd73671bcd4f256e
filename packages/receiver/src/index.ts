export { receiverConfig, type ReceiverConfig } from './config.ts';
export { runReceiver } from './run.ts';
