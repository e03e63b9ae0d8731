/** The boxes of the UNet's and the autoencoder's figures. */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { attention } from '../nn/attention';
import { conv2d, groupNorm, layerNorm, linear, upsampleNearest } from '../nn/layers';
import type { Weights } from '../nn/weights';

export interface ResnetOptions {
  readonly out: number;
  readonly groups: number;
  readonly epsilon: number;
  readonly activate: (x: Value) => Value;
  /** The time embedding, activated, [N, features]; the autoencoder has none. */
  readonly timeEmbedding?: Value;
  /** Whether the time scales the features after the second norm, beside shifting them (Dhariwal & Nichol 2021). */
  readonly timeScalesToo?: boolean;
  /** What the sum with the skip is divided by. */
  readonly outputScale?: number;
}

/** ResnetBlock2D: norm, activation, conv, add time, norm, activation, conv, add skip. */
export function resnetBlock(w: Weights, x: Value, options: ResnetOptions): Value {
  const { out, activate, timeEmbedding, timeScalesToo = false, outputScale = 1 } = options;
  let h = activate(groupNorm(w.at('norm1'), x, options));
  h = conv2d(w.at('conv1'), h, { out, kernel: 3, padding: 1 });
  const told =
    timeEmbedding && linear(w.at('time_emb_proj'), timeEmbedding, { out: timeScalesToo ? 2 * out : out });
  const everywhere = (v: Value) => op.Reshape(v, { shape: [-1, out, 1, 1] });
  if (told && !timeScalesToo) h = op.Add(h, everywhere(told));
  h = groupNorm(w.at('norm2'), h, options);
  if (told && timeScalesToo) {
    const [scale, shift] = op.Split(told, { split: [out, out], axis: 1 }) as [Value, Value];
    h = op.Add(op.Mul(h, op.Add(everywhere(scale), h.graph.scalar(1))), everywhere(shift));
  }
  h = conv2d(w.at('conv2'), activate(h), { out, kernel: 3, padding: 1 });
  const skip = x.shape[1] === out ? x : conv2d(w.at('conv_shortcut'), x, { out, kernel: 1 });
  const sum = op.Add(skip, h);
  return outputScale === 1 ? sum : op.Div(sum, sum.graph.scalar(outputScale));
}

/** Downsample2D: a convolution of stride 2; the autoencoder's pads only below and to the right. */
export const downsample = (w: Weights, x: Value, padding: number | readonly number[]): Value =>
  conv2d(w.at('conv'), x, { out: x.shape[1]!, kernel: 3, stride: 2, padding });

/** Upsample2D: to `size` by nearest neighbour, then a convolution. */
export const upsample = (w: Weights, x: Value, size: readonly [number, number]): Value =>
  conv2d(w.at('conv'), upsampleNearest(x, size), { out: x.shape[1]!, kernel: 3, padding: 1 });

export interface TransformerOptions {
  readonly heads: number;
  readonly layers: number;
  readonly groups: number;
  /** Project in and out with linear layers instead of 1×1 convolutions. */
  readonly linearProjection: boolean;
  /** What cross-attention attends to, [N, tokens, features]. */
  readonly textEmbeddings: Value;
  /** Whether the first attention, too, attends to the text instead of the picture. */
  readonly textOnly: boolean;
}

/** Transformer2DModel: pixels as tokens through transformer blocks, added to the input. */
export function transformer2d(w: Weights, x: Value, options: TransformerOptions): Value {
  const [n, c, height, width] = x.shape as [number, number, number, number];
  // A head has a whole number of features, so all heads together may have fewer than there are channels.
  const inner = options.heads * Math.floor(c / options.heads);
  const toTokens = (v: Value) =>
    op.Transpose(op.Reshape(v, { shape: [n, v.shape[1]!, height * width] }), { perm: [0, 2, 1] });
  const toPixels = (v: Value) =>
    op.Reshape(op.Transpose(v, { perm: [0, 2, 1] }), { shape: [n, v.shape[2]!, height, width] });

  const normalized = groupNorm(w.at('norm'), x, { groups: options.groups, epsilon: 1e-6 });
  let h = options.linearProjection
    ? linear(w.at('proj_in'), toTokens(normalized), { out: inner })
    : toTokens(conv2d(w.at('proj_in'), normalized, { out: inner, kernel: 1 }));
  for (let i = 0; i < options.layers; i++) {
    h = transformerBlock(w.at('transformer_blocks').at(i), h, options);
  }
  const projected = options.linearProjection
    ? toPixels(linear(w.at('proj_out'), h, { out: c }))
    : conv2d(w.at('proj_out'), toPixels(h), { out: c, kernel: 1 });
  return op.Add(projected, x);
}

/** BasicTransformerBlock: self-attention, cross-attention, feed-forward; each normalised before, added after. */
function transformerBlock(
  w: Weights,
  x: Value,
  { heads, textEmbeddings, textOnly }: TransformerOptions,
): Value {
  const norm = (name: string, v: Value) => layerNorm(w.at(name), v, { epsilon: 1e-5 });
  const self = norm('norm1', x);
  const attended = op.Add(x, crossAttention(w.at('attn1'), self, textOnly ? textEmbeddings : self, heads));
  const told = op.Add(
    attended,
    crossAttention(w.at('attn2'), norm('norm2', attended), textEmbeddings, heads),
  );
  return op.Add(told, feedForward(w.at('ff').at('net'), norm('norm3', told)));
}

/** Attention over `context`; self-attention when `context` is `x`. */
function crossAttention(w: Weights, x: Value, context: Value, heads: number): Value {
  const out = x.shape.at(-1)!;
  const q = linear(w.at('to_q'), x, { out, bias: false });
  const k = linear(w.at('to_k'), context, { out, bias: false });
  const v = linear(w.at('to_v'), context, { out, bias: false });
  return linear(w.at('to_out').at(0), attention(q, k, v, heads), { out });
}

/** GEGLU (Shazeer 2020): the first half times the GELU of the second, four times as wide inside. */
function feedForward(w: Weights, x: Value): Value {
  const features = x.shape.at(-1)!;
  const wide = linear(w.at(0).at('proj'), x, { out: 8 * features });
  const [value, gate] = op.Split(wide, { split: [4 * features, 4 * features], axis: -1 }) as [Value, Value];
  return linear(w.at(2), op.Mul(value, op.Gelu(gate)), { out: features });
}
