export { ETHERNET_OVERHEAD, ethernetBytes, IP_UDP_HEADERS, Pacer, queueRate } from './send/pacer.ts';
export { type Departure, SendMachine } from './send/machine.ts';
export { EpochWait } from './send/epoch-wait.ts';
export { symbolsOf } from './send/framer.ts';
export { sendArenaBytes } from './send/types.ts';
export type { MonotonicNs } from './stopwatch.ts';
export { blockFailure, type Plan, planTransfer, type PlanOptions, type Residual } from './plan.ts';
export { gapAfter, isAlive, kindAfter, type Schedule } from './send/carousel.ts';
export type {
  Blocks,
  ObjectSource,
  PassKind,
  PassOrder,
  SendCounters,
  SendEvent,
  SendObject,
  SendParts,
  SendSettings,
} from './send/types.ts';
export { type JudgedBatch, ReceiveMachine, type SeenSession } from './receive/machine.ts';
export { BATCH_RUNS, RUN_WORDS } from './receive/kernel.ts';
export { ReceivingObject } from './receive/object.ts';
export { WINDOW } from './receive/window.ts';
export {
  DEFAULT_LIMITS,
  receiveArenaBytes,
  type ObjectInfo,
  type ReceiveCounters,
  type ReceiveEvent,
  type ReceiveLimits,
  type ReceiveParts,
  spoolKey,
  type SpoolPort,
} from './receive/types.ts';
