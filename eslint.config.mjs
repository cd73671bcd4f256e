// Typed lint over the whole tree. Comments that switch a rule off have no effect here: change the code, or this file.
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** The house limits; they hold for hand-written code without exception. */
const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;

export default defineConfig(
  globalIgnores([
    '**/node_modules',
    'dist',
    'tmp',
    'test/vectors',
    'packages/*/kernel',
    'packages/wasm/build',
    'packages/*/src/kernel.wasm.ts',
  ]),
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { noInlineConfig: true },
    rules: {
      'max-lines': ['error', { max: FILE_LINES_MAX }],
      'max-lines-per-function': ['error', { max: FUNCTION_LINES_MAX }],
      eqeqeq: 'error',
      'no-empty': 'error',
      'no-eval': 'error',
      'no-implied-eval': 'off',
      'no-param-reassign': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-import-type-side-effects': 'error',
      // Every member of a union has its case, or there is a `default` on purpose.
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      // Numbers in templates are wanted; everything else must be turned into text on purpose.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // `() => somethingVoid()` is a fine one-line arrow function, and `return refuse(...)` a fine way to leave early.
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // `for (;;)` and `while (true)` with a named way out are how a loop over input reads best.
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      // Typed arrays are walked by index in the hot paths.
      '@typescript-eslint/prefer-for-of': 'off',
      // A `type` and an `interface` are both used, each where it reads better.
      '@typescript-eslint/consistent-type-definitions': 'off',
    },
  },
  {
    // A `describe` block is one function however many tests it holds, and a test may insist that something is there.
    files: ['**/test/**/*.test.ts'],
    rules: { 'max-lines-per-function': 'off', '@typescript-eslint/no-non-null-assertion': 'off' },
  },
);
