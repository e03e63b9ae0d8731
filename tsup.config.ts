import { defineConfig } from 'tsup';

/** Each is an entry of the package, `dreambooth/mcp` and so on. */
const adapters = Object.fromEntries(
  ['mcp', 'discord', 'ai-sdk', 'openai'].map((name) => [`adapters/${name}`, `adapters/${name}/index.ts`]),
);

export default defineConfig({
  entry: {
    index: 'sdk/index.ts',
    operations: 'sdk/operations/index.ts',
    engine: 'sdk/work/engine-main.ts',
    'adapters/cli': 'adapters/cli/bin.ts',
    ...adapters,
  },
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  dts: { entry: { index: 'sdk/index.ts', operations: 'sdk/operations/index.ts', ...adapters } },
  clean: true,
  // Adapters find the one built SDK by the package's own name, so that its classes are the same for all.
  external: [/^dreambooth(\/|$)/, 'onnxruntime-node', 'sharp'],
});
