// The importer as a process of its own, for tests that kill it.
import { runImporter } from '../src/index.ts';

await runImporter(process.argv[2] ?? '');
