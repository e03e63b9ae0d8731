/** Layers as functions: a position in the weights and a value in, a value out. Sizes are those of the weights. */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import type { Weights } from './weights';

/** y = x·Wᵀ + b over the last axis; W is [out, in]. */
export function linear(w: Weights, x: Value, { out, bias = true }: { out: number; bias?: boolean }): Value {
  const features = x.shape.at(-1)!;
  const weight = w.parameter('weight', [out, features]);
  const rows = op.Reshape(x, { shape: [-1, features] });
  const y = op.Gemm(rows, weight, bias ? w.parameter('bias', [out]) : undefined, { transB: 1 });
  return op.Reshape(w.adapt(rows, y), { shape: [...x.shape.slice(0, -1), out] });
}

export interface Convolution {
  readonly out: number;
  readonly kernel: number;
  readonly stride?: number;
  /** One number for all sides, or [top, left, bottom, right]. Default 0. */
  readonly padding?: number | readonly number[];
}

/** 2-D convolution of [N, C, H, W]. */
export function conv2d(w: Weights, x: Value, { out, kernel, stride = 1, padding = 0 }: Convolution): Value {
  const weight = w.parameter('weight', [out, x.shape[1]!, kernel, kernel]);
  const pads = typeof padding === 'number' ? [padding, padding, padding, padding] : padding;
  const window = { strides: [stride, stride], pads };
  const y = op.Conv(x, weight, w.parameter('bias', [out]), { ...window, dilations: [1, 1], group: 1 });
  return w.adapt(x, y, window);
}

/** Over groups of channels of [N, C, H, W]. */
export function groupNorm(
  w: Weights,
  x: Value,
  { groups, epsilon }: { groups: number; epsilon: number },
): Value {
  const channels = [x.shape[1]!];
  const attributes = { num_groups: groups, epsilon };
  return op.GroupNormalization(
    x,
    w.parameter('weight', channels),
    w.parameter('bias', channels),
    attributes,
  )[0]!;
}

/** Over the last axis. */
export function layerNorm(w: Weights, x: Value, { epsilon }: { epsilon: number }): Value {
  const features = [x.shape.at(-1)!];
  const attributes = { axis: -1, epsilon };
  return op.LayerNormalization(
    x,
    w.parameter('weight', features),
    w.parameter('bias', features),
    attributes,
  )[0]!;
}

/** x·σ(x) */
export const silu = (x: Value): Value => op.QuickGelu(x, { alpha: 1 });

/** By the names that configs use. */
export const activations = { silu, swish: silu, gelu: op.Gelu, relu: op.Relu } as const;
export type Activation = keyof typeof activations;

/** Doubles height and width, or resizes to `size` where halving rounded; each pixel repeats its nearest. */
export function upsampleNearest(x: Value, size: readonly [number, number]): Value {
  return op.Resize(x, {
    sizes: [x.shape[0]!, x.shape[1]!, ...size],
    mode: 'nearest',
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  });
}
