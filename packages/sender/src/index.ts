export { senderConfig, type SenderConfig } from './config.ts';
export { runSender } from './run.ts';
