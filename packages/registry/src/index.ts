export * from './errors.ts';
export { parseChallenge, type AuthorizedOptions, type Challenge, type Credentials } from './auth.ts';
export { codeOf, errorOf, failure } from './classify.ts';
export {
  DEFAULT_TIMEOUTS,
  ERROR_LIMIT,
  JSON_LIMIT,
  MANIFEST_LIMIT,
  openTransport,
  type Answer,
  type Ask,
  type Timeouts,
  type Transport,
} from './http.ts';
export * from './registry.ts';
export * from './harbor.ts';
export * from './replicate.ts';
export * from './push.ts';
