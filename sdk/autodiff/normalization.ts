/**
 * Gradients of the normalisations. With x̂ = (x − μ)·r, r = 1/√(σ² + ε), over n elements, and g the gradient of x̂:
 *
 *   dx = r · (g − mean(g) − x̂ · mean(g · x̂))
 */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import type { GradientContext } from './gradient-rule';

export function layerNormalizationGradient({
  inputs: [x, scale],
  outputs: [, mean, inverseDeviation],
  dy,
}: GradientContext<'LayerNormalization'>): readonly [Value, Value, Value] {
  const inverse = likeInput(inverseDeviation!, x);
  const normalized = op.Mul(op.Sub(x, likeInput(mean!, x)), inverse);
  const g = op.Mul(dy, scale);
  const rowMean = (v: Value) => op.ReduceMean(v, { axes: [-1], keepdims: 1 });
  const dx = op.Sub(op.Sub(g, rowMean(g)), op.Mul(normalized, rowMean(op.Mul(g, normalized))));
  return [op.Mul(dx, inverse), op.Mul(dy, normalized), dy];
}

/** The statistics are float32 whatever the input is. */
const likeInput = (statistic: Value, x: Value) =>
  statistic.dtype === x.dtype ? statistic : op.Cast(statistic, { to: x.dtype });

/**
 * Group normalisation scales by channel (γ) what it normalised by group, so both means are sums over a group's
 * channels of γ times that channel's Σ dy and Σ dy·x̂, which are also the gradients of bias and scale. All that
 * remains at full size is dx = a·dy + b·x̂ + c with a = γ·r a channel, b = −r·mean(g·x̂) and c = −r·mean(g) a group.
 */
export function groupNormalizationGradient({
  inputs: [x, scale],
  outputs: [, normalized, inverseDeviation],
  attributes: { num_groups },
  dy,
}: GradientContext<'GroupNormalization'>): readonly [Value, Value, Value] {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const perGroup = c / num_groups;
  const rows = op.Reshape(dy, { shape: [n, c, h * w] });
  const biasSums = op.ReduceSum(rows, { axes: [2], keepdims: 0 });
  const scaleSums = op.ReduceSum(op.Mul(rows, normalized!), { axes: [2], keepdims: 0 });

  const groupMean = (sums: Value) => {
    const scaled = op.Reshape(op.Mul(sums, scale), { shape: [n, num_groups, perGroup] });
    return op.Mul(op.ReduceSum(scaled, { axes: [2], keepdims: 1 }), 1 / (perGroup * h * w));
  };
  const perChannel = (groupValue: Value) =>
    op.Reshape(op.Expand(groupValue, { shape: [n, num_groups, perGroup] }), { shape: [n, c, 1] });
  const inverse = likeInput(inverseDeviation!, x);
  const negative = op.Neg(inverse);
  const a = op.Mul(perChannel(inverse), op.Reshape(scale, { shape: [1, c, 1] }));
  const b = perChannel(op.Mul(negative, groupMean(scaleSums)));
  const constant = perChannel(op.Mul(negative, groupMean(biasSums)));
  const dx = op.Add(op.Add(op.Mul(rows, a), op.Mul(normalized!, b)), constant);
  return [op.Reshape(dx, { shape: x.shape }), scaleSums, biasSums];
}
