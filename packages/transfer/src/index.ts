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
export { ReceiveMachine } from './receive/machine.ts';
export type { HandoverItem } from './receive/handover.ts';
export { BATCH_RUNS, RUN_WORDS } from './receive/kernel.ts';
export { ReceivingObject } from './receive/object.ts';
export { WINDOW } from './receive/window.ts';
export {
  DEFAULT_LIMITS,
  type JudgedBatch,
  receiveArenaBytes,
  type ObjectInfo,
  type ReceiveCounters,
  type ReceiveEvent,
  type ReceiveLimits,
  type ReceiveParts,
  type SeenSession,
  spoolKey,
  type SpoolPort,
} from './receive/types.ts';
