export { createLogger, type LoggerOptions } from './logger.ts';
export { createMetrics, type Metrics } from './metrics.ts';
export { CHECK_TIMEOUT_MS, createHealth, HEALTH_TYPE } from './health.ts';
export type { CheckResult, Health, HealthCheck, HealthOptions, HealthReport, HealthStatus } from './health.ts';
export { HttpProblem, PROBLEM_TYPE, sendProblem } from './problem.ts';
export { PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, pageRequest, type Page, type PageRequest } from './paging.ts';
export { HTTP_LIMITS, startHttp, type HttpOptions, type HttpServer } from './http.ts';
export { CONTROL_LIMITS, startControl, type ControlOptions } from './control.ts';
export { cronExpression, schedule, type Schedule } from './schedule.ts';
