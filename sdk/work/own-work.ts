/** The work that an engine does unless told otherwise; loads onnxruntime. */

export { runEmbedding } from './run-embedding';
export { runGeneration } from './run-generation';
export { runMeasurement } from './run-measurement';
export { runPersonalization } from './run-personalization';
