export { configError } from './place.ts';
export {
  array,
  checked,
  describeConfig,
  faultOf,
  jsonSchemaOf,
  noTwins,
  object,
  optional,
  record,
  union,
  withDefault,
} from './schema.ts';
export {
  CONFIG_ITEMS_MAX,
  type CountLimits,
  type Infer,
  type JsonSchemaPart,
  type OptionalSchema,
  type Row,
  type Schema,
} from './schema.ts';
export {
  boolean,
  bytes,
  CONFIG_TEXT_MAX,
  duration,
  fraction,
  integer,
  oneOf,
  path,
  rate,
  string,
  url,
} from './values.ts';
export type { NumberLimits, TextLimits } from './values.ts';
export { KEY_FILE_BYTES_MAX, readKeyFile } from './key-file.ts';
export { Secret, SECRET_BYTES_MAX, secretFile } from './secret.ts';
export { CONFIG_BYTES_MAX, digestOfConfig, loadConfig, parseConfig, textOfConfig } from './load.ts';
