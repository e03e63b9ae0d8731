/**
 * Gradient of attention, y = P v with P = softmax(S) and S = scale · q kᵀ + mask.
 *
 * With dP = dy·vᵀ: dS = P∘(dP − Σ_j dP∘P), and Σ_j dP∘P = Σ dy∘y, which is far smaller; then dq = scale · dS k,
 * dk = scale · dSᵀ q, dv = Pᵀ dy.
 *
 * P has a number for each pair of places. Kept from the forward pass, those of every layer are alive at once and are most
 * of a training step's memory; computed again they cost a fifth of the layer's time (as in Dao et al. 2022).
 */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import type { GradientContext } from './gradient-rule';

export function attentionGradient({
  inputs: [q, k, v, mask],
  outputs: [y, kept],
  attributes: { scale, recompute },
  dy,
}: GradientContext<'Attention'>): readonly [Value, Value, Value, Value] {
  const probabilities = recompute ? probabilitiesAgain(q, k, mask, scale, dy) : kept!;
  const dProbabilities = op.FusedMatMul(dy, v, { transB: 1 });
  const weighted = op.ReduceSum(op.Mul(dy, y!), { axes: [-1], keepdims: 1 });
  const dScores = op.Mul(probabilities, op.Sub(dProbabilities, weighted));
  return [
    op.FusedMatMul(dScores, k, { alpha: scale }),
    op.FusedMatMul(dScores, q, { alpha: scale, transA: 1 }),
    op.FusedMatMul(probabilities, dy, { transA: 1 }),
    dScores,
  ];
}

/**
 * The same nodes as in the forward pass would be merged with those, or run as early. Adding nothing that depends on dy
 * to q makes them others, which cannot run before the backward pass is here.
 */
function probabilitiesAgain(q: Value, k: Value, mask: Value | undefined, scale: number, dy: Value): Value {
  const axes = dy.shape.map((_, axis) => axis);
  const one = op.Slice(dy, {
    starts: axes.map(() => 0),
    ends: axes.map(() => 1),
    axes,
    steps: axes.map(() => 1),
  });
  const later = op.Add(q, op.Mul(one, 0));
  const scores = op.FusedMatMul(later, k, { transB: 1, alpha: scale });
  return op.Softmax(mask ? op.Add(scores, mask) : scores, { axis: -1 });
}
