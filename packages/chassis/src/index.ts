export { createLogger, type LoggerOptions } from './logger.ts';
export { createMetrics, type Metrics } from './metrics.ts';
export { CHECK_TIMEOUT_MS, createHealth, HEALTH_TYPE } from './health.ts';
export type { CheckResult, Health, HealthCheck, HealthOptions, HealthReport, HealthStatus } from './health.ts';
export { HttpProblem, PROBLEM_TYPE, sendProblem } from './problem.ts';
export { PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, pageRequest } from './paging.ts';
export type { Filters, Page, PageRequest } from './paging.ts';
export { HTTP_LIMITS } from './guard.ts';
export { handedIn, startHttp, type HttpOptions, type HttpServer } from './http.ts';
export { httpConfig, type HttpConfig, httpFault } from './http-config.ts';
export { type ChainEntry, entryView, type EventFeed, type FeedEntry, feedOf } from './events.ts';
export { buckets, duration, FLIGHT_SHOWN, History, Pace, RECENT_SHOWN, REFUSALS_SHOWN, runs } from './overview.ts';
export type { ChannelView, Fact, FlightView, Level, MarginView, MissingView, Overview } from './overview.ts';
export type { Rates, RecentView, RefusalView } from './overview.ts';
export * as api from './openapi.ts';
export { diskCheck } from './disk.ts';
export {
  keepLedger,
  ledgerConfig,
  type LedgerConfig,
  type LedgerSigner,
  startLedgerKeeping,
} from './ledger-keeping.ts';
export {
  addRoutes,
  type Asker,
  askerOf,
  type AskRoutes,
  CONTROL_LIMITS,
  type ControlOptions,
  startControl,
} from './control.ts';
export { cronExpression, schedule, type Schedule } from './schedule.ts';
