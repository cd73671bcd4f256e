export { addressOf, type RedisOptions } from './connection.ts';
export * from './limits.ts';
export * from './queue.ts';
export * from './worker.ts';
