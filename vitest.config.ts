import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import tsconfig from './tsconfig.json' with { type: 'json' };

/** The package's own names mean its sources, as to the compiler. */
const alias = Object.entries(tsconfig.compilerOptions.paths).map(([name, [source]]) => ({
  find: new RegExp(`^${name}$`),
  replacement: join(import.meta.dirname, source!),
}));

export default defineConfig({
  test: {
    // Two cores, and onnxruntime and sharp bring threads of their own.
    maxWorkers: 2,
    projects: [
      {
        resolve: { alias },
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/slow/**'],
          // What hangs is ended; how fast things are is not a test's business, and machines are shared.
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      {
        resolve: { alias },
        test: {
          name: 'slow',
          include: ['test/slow/**/*.test.ts'],
          testTimeout: 15 * 60_000,
          hookTimeout: 15 * 60_000,
        },
      },
    ],
  },
});
