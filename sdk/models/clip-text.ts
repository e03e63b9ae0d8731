/** CLIPTextModel: the causal transformer that turns token ids into what the UNet attends to (Radford et al. 2021). */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { attention, causalMask } from '../nn/attention';
import { layerNorm, linear } from '../nn/layers';
import type { Weights } from '../nn/weights';
import { type ModelConfig, readModelConfig } from './config';

export interface ClipTextConfig {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly positions: number;
  readonly activation: 'quick_gelu' | 'gelu';
  readonly epsilon: number;
  /** Features of the projected pooled output, where the file has a projection. */
  readonly projectionDim: number;
  /** The end token by which the pooled output is found; 2 in old configs means "the largest id". */
  readonly endTokenId: number;
}

/** Throws UnsupportedConfigError for a key or value that would change the result and is not implemented. */
export function readClipTextConfig(config: ModelConfig): ClipTextConfig {
  const read = readModelConfig('text encoder', config);
  read.ignore(
    'architectures',
    'attention_dropout',
    'bos_token_id',
    'dtype',
    'torch_dtype',
    'dropout',
    'initializer_factor',
  );
  read.ignore('initializer_range', 'model_type', 'pad_token_id', 'transformers_version', 'use_cache');
  const parsed: ClipTextConfig = {
    vocabularySize: read.number('vocab_size', 49408),
    hiddenSize: read.number('hidden_size', 512),
    intermediateSize: read.number('intermediate_size', 2048),
    layers: read.number('num_hidden_layers', 12),
    heads: read.number('num_attention_heads', 8),
    positions: read.number('max_position_embeddings', 77),
    activation: read.choice('hidden_act', ['quick_gelu', 'gelu'], 'quick_gelu'),
    epsilon: read.number('layer_norm_eps', 1e-5),
    projectionDim: read.number('projection_dim', 512),
    endTokenId: read.number('eos_token_id', 49407),
  };
  if (parsed.hiddenSize % parsed.heads !== 0)
    read.refuse('num_attention_heads', [`a divisor of hidden_size, ${parsed.hiddenSize}`]);
  read.close();
  return parsed;
}

export type ClipLayerConfig = Pick<
  ClipTextConfig,
  'hiddenSize' | 'intermediateSize' | 'heads' | 'activation' | 'epsilon'
>;

export interface ClipTextInputs {
  /** int64 [N, tokens]; from the size of the vocabulary on, rows of `addedTokens`. */
  readonly inputIds: Value;
  /** float32 [N, tokens]: 1 at the token that the pooled output is taken from, else 0 (see `pooledPositions`). */
  readonly endTokens: Value;
  /** float32 [n, hidden]: vectors of tokens that the vocabulary does not have (textual inversion). */
  readonly addedTokens?: Value | undefined;
}

export interface ClipTextOutputs {
  /** The embeddings, then each layer's output before the final norm: layers + 1 values of [N, tokens, hidden]. */
  readonly hiddenStates: readonly Value[];
  /** The norm after the last layer, of any hidden state. */
  finalNorm(hiddenState: Value): Value;
  /** The end token's last hidden state after the final norm, [N, hidden]. */
  pooled(): Value;
  /** `pooled`, projected, [N, projection] (CLIPTextModelWithProjection). */
  textEmbeds(): Value;
}

/** `w` is the root of the file: its keys begin with `text_model.`. */
export function clipText(w: Weights, config: ClipTextConfig, inputs: ClipTextInputs): ClipTextOutputs {
  const { inputIds, endTokens, addedTokens } = inputs;
  const model = w.at('text_model');
  const [, tokens] = inputIds.shape as [number, number];
  const embeddings = model.at('embeddings');
  const tokenTable = embeddings
    .at('token_embedding')
    .parameter('weight', [config.vocabularySize, config.hiddenSize]);
  const positionTable = embeddings
    .at('position_embedding')
    .parameter('weight', [config.positions, config.hiddenSize]);
  const positions =
    tokens === config.positions
      ? positionTable
      : op.Slice(positionTable, { starts: [0], ends: [tokens], axes: [0], steps: [1] });
  const mask = causalMask(inputIds, tokens);
  const hiddenStates = [op.Add(embedTokens(tokenTable, inputIds, addedTokens), positions)];
  for (let i = 0; i < config.layers; i++) {
    hiddenStates.push(clipLayer(model.at('encoder').at('layers').at(i), config, hiddenStates.at(-1)!, mask));
  }
  const finalNorm = (hiddenState: Value) => layerNorm(model.at('final_layer_norm'), hiddenState, config);
  const pooled = () => {
    const picked = op.MatMul(
      op.Reshape(endTokens, { shape: [-1, 1, tokens] }),
      finalNorm(hiddenStates.at(-1)!),
    );
    return op.Reshape(picked, { shape: [-1, config.hiddenSize] });
  };
  const textEmbeds = () =>
    linear(w.at('text_projection'), pooled(), { out: config.projectionDim, bias: false });
  return { hiddenStates, finalNorm, pooled, textEmbeds };
}

/** Rows of the vocabulary's table, and of the added one behind it, with neither copied to join them. */
function embedTokens(table: Value, ids: Value, addedTokens: Value | undefined): Value {
  if (!addedTokens) return op.Gather(table, ids, { axis: 0 });
  const vocabularySize = table.shape[0]!;
  const isAdded = op.Greater(ids, vocabularySize - 1);
  const known = op.Gather(table, op.Where(isAdded, 0, ids), { axis: 0 });
  const added = op.Gather(addedTokens, op.Where(isAdded, op.Sub(ids, vocabularySize), 0), { axis: 0 });
  return op.Where(op.Reshape(isAdded, { shape: [...ids.shape, 1] }), added, known);
}

/** One layer of either of CLIP's transformers; pictures have no mask. */
export function clipLayer(w: Weights, config: ClipLayerConfig, x: Value, mask?: Value): Value {
  const attended = op.Add(
    x,
    selfAttention(w.at('self_attn'), config, layerNorm(w.at('layer_norm1'), x, config), mask),
  );
  const normalized = layerNorm(w.at('layer_norm2'), attended, config);
  const wide = linear(w.at('mlp').at('fc1'), normalized, { out: config.intermediateSize });
  const active = config.activation === 'gelu' ? op.Gelu(wide) : op.QuickGelu(wide, { alpha: 1.702 });
  return op.Add(attended, linear(w.at('mlp').at('fc2'), active, { out: config.hiddenSize }));
}

function selfAttention(
  w: Weights,
  { hiddenSize: out, heads }: ClipLayerConfig,
  x: Value,
  mask: Value | undefined,
): Value {
  const [q, k, v] = ['q_proj', 'k_proj', 'v_proj'].map((name) => linear(w.at(name), x, { out })) as [
    Value,
    Value,
    Value,
  ];
  return linear(w.at('out_proj'), attention(q, k, v, heads, mask), { out });
}

/** Which token of each row the pooled output is taken from: the first end token, or the largest id in old configs. */
export function pooledPositions(
  ids: ArrayLike<bigint>,
  tokens: number,
  { endTokenId }: ClipTextConfig,
): number[] {
  return Array.from({ length: ids.length / tokens }, (_, row) => {
    const line = Array.from({ length: tokens }, (_, i) => Number(ids[row * tokens + i]));
    if (endTokenId === 2) return line.indexOf(Math.max(...line));
    return Math.max(0, line.indexOf(endTokenId));
  });
}
