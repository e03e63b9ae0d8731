/** DINO's vision transformer: its first token after the last norm is the picture's embedding (Caron et al. 2021). */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { attention } from '../nn/attention';
import { layerNorm, linear } from '../nn/layers';
import type { Weights } from '../nn/weights';
import { type ModelConfig, readModelConfig } from './config';
import { patchTokens } from './patches';

export interface DinoConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly imageSize: number;
  readonly patchSize: number;
  readonly epsilon: number;
  readonly bias: boolean;
}

/** Of transformers' ViTModel. Throws UnsupportedConfigError for what would change the result and is not implemented. */
export function readDinoConfig(config: ModelConfig): DinoConfig {
  const read = readModelConfig('vision encoder', config);
  read.only('model_type', 'vit');
  read.only('num_channels', 3);
  read.only('hidden_act', 'gelu');
  const parsed: DinoConfig = {
    hiddenSize: read.number('hidden_size', 768),
    intermediateSize: read.number('intermediate_size', 3072),
    layers: read.number('num_hidden_layers', 12),
    heads: read.number('num_attention_heads', 12),
    imageSize: read.number('image_size', 224),
    patchSize: read.number('patch_size', 16),
    epsilon: read.number('layer_norm_eps', 1e-12),
    bias: read.flag('qkv_bias', true),
  };
  if (parsed.hiddenSize % parsed.heads !== 0)
    read.refuse('num_attention_heads', [`a divisor of hidden_size, ${parsed.hiddenSize}`]);
  if (parsed.imageSize % parsed.patchSize !== 0)
    read.refuse('patch_size', [`a divisor of image_size, ${parsed.imageSize}`]);
  return parsed;
}

/** Pictures [N, 3, imageSize, imageSize], normalised, to embeddings [N, hiddenSize]; `w` is the root of the file. */
export function dino(w: Weights, config: DinoConfig, pictures: Value): Value {
  const { hiddenSize } = config;
  const embeddings = w.at('embeddings');
  const projection = embeddings.at('patch_embeddings').at('projection');
  const [n] = pictures.shape as [number];
  const tokens = patchTokens(pictures, {
    weight: projection.parameter('weight', [hiddenSize, 3, config.patchSize, config.patchSize]),
    bias: projection.parameter('bias', [hiddenSize]),
    first: embeddings.parameter('cls_token', [1, 1, hiddenSize]),
  });
  const positions = embeddings.parameter('position_embeddings', [1, ...tokens.shape.slice(1)]);
  let x = op.Add(tokens, positions);
  for (let i = 0; i < config.layers; i++) x = layer(w.at('encoder').at('layer').at(i), config, x);
  const first = op.Slice(layerNorm(w.at('layernorm'), x, config), {
    starts: [0],
    ends: [1],
    axes: [1],
    steps: [1],
  });
  return op.Reshape(first, { shape: [n, hiddenSize] });
}

function layer(w: Weights, config: DinoConfig, x: Value): Value {
  const { hiddenSize: out, heads, bias } = config;
  const attending = w.at('attention');
  const before = layerNorm(w.at('layernorm_before'), x, config);
  const [q, k, v] = ['query', 'key', 'value'].map((name) =>
    linear(attending.at('attention').at(name), before, { out, bias }),
  ) as [Value, Value, Value];
  const attended = op.Add(x, linear(attending.at('output').at('dense'), attention(q, k, v, heads), { out }));
  const after = layerNorm(w.at('layernorm_after'), attended, config);
  const wide = op.Gelu(linear(w.at('intermediate').at('dense'), after, { out: config.intermediateSize }));
  return op.Add(attended, linear(w.at('output').at('dense'), wide, { out }));
}
