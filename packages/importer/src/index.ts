export { importerConfig, type ImporterConfig } from './config.ts';
export { FileSite, type StagedFile } from './files.ts';
export { type Active, Jobs, type Waiting } from './jobs.ts';
export {
  importBundle,
  type ImportEvent,
  type ImportOutcome,
  type ImportPorts,
  type RefusalCode,
  type Site,
} from './pipeline.ts';
export { makePlan, type Plan } from './plan.ts';
export { classOf, paceOf } from './retry.ts';
export { type Importer, runImporter, startImporter } from './run.ts';
export { readStatements, type RefusedStatements, type Statements, type Trust } from './statements.ts';
