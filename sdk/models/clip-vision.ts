/** CLIPVisionModelWithProjection: the transformer over patches that gives a picture's embedding (Radford et al. 2021). */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { layerNorm, linear } from '../nn/layers';
import type { Weights } from '../nn/weights';
import { type ClipLayerConfig, clipLayer } from './clip-text';
import { type ModelConfig, readModelConfig } from './config';
import { patchTokens } from './patches';

export interface ClipVisionConfig extends ClipLayerConfig {
  readonly layers: number;
  /** Sides of the picture and of its patches, in pixels. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly projectionDim: number;
}

/** Of CLIP's `vision_config`. Throws UnsupportedConfigError for what would change the result and is not implemented. */
export function readClipVisionConfig(config: ModelConfig, projectionDim: number): ClipVisionConfig {
  const read = readModelConfig('vision encoder', config);
  read.only('num_channels', 3);
  const parsed: ClipVisionConfig = {
    hiddenSize: read.number('hidden_size', 768),
    intermediateSize: read.number('intermediate_size', 3072),
    layers: read.number('num_hidden_layers', 12),
    heads: read.number('num_attention_heads', 12),
    imageSize: read.number('image_size', 224),
    patchSize: read.number('patch_size', 32),
    activation: read.choice('hidden_act', ['quick_gelu', 'gelu'], 'quick_gelu'),
    epsilon: read.number('layer_norm_eps', 1e-5),
    projectionDim,
  };
  if (parsed.hiddenSize % parsed.heads !== 0)
    read.refuse('num_attention_heads', [`a divisor of hidden_size, ${parsed.hiddenSize}`]);
  if (parsed.imageSize % parsed.patchSize !== 0)
    read.refuse('patch_size', [`a divisor of image_size, ${parsed.imageSize}`]);
  return parsed;
}

/** Pictures [N, 3, imageSize, imageSize], normalised, to embeddings [N, projectionDim]; `w` is the root of the file. */
export function clipVision(w: Weights, config: ClipVisionConfig, pictures: Value): Value {
  const model = w.at('vision_model');
  const { hiddenSize } = config;
  const embeddings = model.at('embeddings');
  const [n] = pictures.shape as [number];
  const tokens = patchTokens(pictures, {
    weight: embeddings
      .at('patch_embedding')
      .parameter('weight', [hiddenSize, 3, config.patchSize, config.patchSize]),
    first: embeddings.parameter('class_embedding', [hiddenSize]),
  });
  const positions = embeddings.at('position_embedding').parameter('weight', tokens.shape.slice(1));
  // The published weights have the misspelling.
  let x = layerNorm(model.at('pre_layrnorm'), op.Add(tokens, positions), config);
  for (let i = 0; i < config.layers; i++) x = clipLayer(model.at('encoder').at('layers').at(i), config, x);
  const first = op.Reshape(op.Slice(x, { starts: [0], ends: [1], axes: [1], steps: [1] }), {
    shape: [n, hiddenSize],
  });
  const pooled = layerNorm(model.at('post_layernorm'), first, config);
  return linear(w.at('visual_projection'), pooled, { out: config.projectionDim, bias: false });
}
