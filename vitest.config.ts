import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Two cores, and onnxruntime and sharp bring threads of their own.
    maxWorkers: 2,
    projects: [
      {
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
