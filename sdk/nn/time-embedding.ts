/** Numbers as waves: how a network is told the timestep (Vaswani et al. 2017, §3.5; diffusers' Timesteps). */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { float32 } from '../tensor';
import { linear, silu } from './layers';
import type { Weights } from './weights';

export interface Sinusoid {
  readonly features: number;
  /** Cosines first. */
  readonly flipSinToCos: boolean;
  readonly frequencyShift: number;
}

/** [N] to [N, features]: sin and cos of x·10000^(−i / (half − shift)) for i = 0 … half − 1. */
export function sinusoid(x: Value, { features, flipSinToCos, frequencyShift }: Sinusoid): Value {
  const half = features / 2;
  const frequencies = Float32Array.from({ length: half }, (_, i) =>
    Math.exp((-Math.log(10000) * i) / (half - frequencyShift)),
  );
  const angles = op.Mul(op.Reshape(x, { shape: [-1, 1] }), x.graph.constant(float32([1, half], frequencies)));
  const waves = [op.Sin(angles), op.Cos(angles)];
  return op.Concat(...(flipSinToCos ? waves.reverse() : waves), { axis: 1 });
}

/** TimestepEmbedding: linear_1, SiLU, linear_2. */
export function timestepEmbedding(w: Weights, x: Value, out: number): Value {
  return linear(w.at('linear_2'), silu(linear(w.at('linear_1'), x, { out })), { out });
}
