/** AdamW (Loshchilov & Hutter 2019) as nodes of a graph, equal to PyTorch's. */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';

export interface AdamWOptions {
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
}

export const adamWDefaults: AdamWOptions = { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 1e-2 };

/** Scalars that change from step to step. */
export interface AdamWRates {
  readonly learningRate: Value;
  /** See `biasCorrections`. */
  readonly firstCorrection: Value;
  readonly secondCorrection: Value;
}

/** Parameters and the running sums of their gradients and squared gradients, all of one shape. */
export interface AdamWState {
  readonly parameter: Value;
  readonly firstSum: Value;
  readonly secondSum: Value;
}

/**
 * One update. The moments are kept as plain decayed sums, M = β₁M + g and V = β₂V + g², which saves two passes over
 * memory; the corrections turn them into the unbiased means m̂ and v̂:
 *
 *   p ← p·(1 − lr·weightDecay) − lr · m̂ / (√v̂ + ε)
 *
 * `decayed`, of the parameters' shape, is 1 where weights decay and 0 where they do not; default: they all do.
 */
export function adamW(
  state: AdamWState,
  gradient: Value,
  rates: AdamWRates,
  options: AdamWOptions,
  decayed?: Value,
): AdamWState {
  const [beta1, beta2] = options.betas;
  const firstSum = op.Add(op.Mul(state.firstSum, beta1), gradient);
  const secondSum = op.Add(op.Mul(state.secondSum, beta2), op.Mul(gradient, gradient));
  const deviation = op.Add(op.Mul(op.Sqrt(secondSum), rates.secondCorrection), options.epsilon);
  const step = op.Div(op.Mul(firstSum, op.Mul(rates.learningRate, rates.firstCorrection)), deviation);
  const decay = op.Mul(rates.learningRate, options.weightDecay);
  const kept = op.Sub(1, decayed ? op.Mul(decayed, decay) : decay);
  const parameter = op.Sub(op.Mul(state.parameter, kept), step);
  return { parameter, firstSum, secondSum };
}

/** For step 1, 2, …: what turns the sums into m̂ and, under the root, v̂. */
export function biasCorrections(
  { betas: [beta1, beta2] }: AdamWOptions,
  step: number,
): { first: number; second: number } {
  return { first: (1 - beta1) / (1 - beta1 ** step), second: Math.sqrt((1 - beta2) / (1 - beta2 ** step)) };
}
