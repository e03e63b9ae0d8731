import { defineConfig } from 'tsup';

export default defineConfig({
  entry: {
    index: 'sdk/index.ts',
    engine: 'sdk/work/engine-main.ts',
    'adapters/cli': 'adapters/cli/bin.ts',
  },
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  dts: { entry: { index: 'sdk/index.ts' } },
  clean: true,
  // Adapters find the one built SDK by the package's own name, so that its classes are the same for all.
  external: ['dreambooth', 'onnxruntime-node', 'sharp'],
});
