/** Numbers as waves: how a network is told the timestep (Vaswani et al. 2017, §3.5; diffusers' Timesteps). */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { float32 } from '../tensor';
import { linear } from './layers';
import type { Weights } from './weights';

export interface Sinusoid {
  readonly features: number;
  /** Cosines first. */
  readonly flipSinToCos: boolean;
  readonly frequencyShift: number;
}

/** [N] to [N, features]: sin and cos of x·10000^(−i / (half − shift)) for i = 0 … half − 1; an odd feature is 0. */
export function sinusoid(x: Value, { features, flipSinToCos, frequencyShift }: Sinusoid): Value {
  const half = Math.floor(features / 2);
  const frequencies = waveFrequencies(half, half - frequencyShift);
  const angles = op.Mul(op.Reshape(x, { shape: [-1, 1] }), x.graph.constant(float32([1, half], frequencies)));
  const waves = [op.Sin(angles), op.Cos(angles)];
  const joined = op.Concat(...(flipSinToCos ? waves.reverse() : waves), { axis: 1 });
  return features % 2 === 0 ? joined : op.Pad(joined, { pads: [0, 0, 0, 1] });
}

/**
 * 10000^(−i / steps) for i = 0 … count − 1, rounded to float32 after every operation as in diffusers: multiplied by a
 * timestep of 1000, the last bit of a frequency is in the fourth digit of its wave.
 */
export function waveFrequencies(count: number, steps: number): Float32Array {
  const f = Math.fround;
  return Float32Array.from({ length: count }, (_, i) => Math.exp(f(f(f(-Math.log(10_000)) * i) / steps)));
}

/** TimestepEmbedding: linear_1, activation, linear_2. */
export function timestepEmbedding(w: Weights, x: Value, out: number, activate: (x: Value) => Value): Value {
  return linear(w.at('linear_2'), activate(linear(w.at('linear_1'), x, { out })), { out });
}
