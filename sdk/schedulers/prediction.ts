/** What a denoising network predicts, and how x₀ and the noise follow from it, for samples x = α·x₀ + σ·noise. */
import { linearCombination } from './linear-combination';

/**
 * `epsilon`: the noise; `sample`: x₀; `v_prediction`: the velocity α·noise − σ·x₀ (Salimans & Ho 2022).
 */
export type PredictionType = 'epsilon' | 'v_prediction' | 'sample';
export const predictionTypes = ['epsilon', 'v_prediction', 'sample'] as const;

/**
 * How much signal (`alpha`) and noise (`sigma`) a sample holds: α² + σ² = 1 for variance-preserving samples
 * (DDPM and its kin), α = 1 for variance-exploding ones (Karras et al. 2022). The velocity is always that of
 * the variance-preserving sample, x / √(α² + σ²), which is what the network is shown.
 */
export interface NoiseLevel {
  readonly alpha: number;
  readonly sigma: number;
}

/** x₀ as predicted; all arrays of one length. At α = 0 only `v_prediction` and `sample` say anything about x₀. */
export function predictOriginal(
  type: PredictionType,
  modelOutput: Float32Array,
  sample: Float32Array,
  { alpha, sigma }: NoiseLevel,
): Float32Array {
  const square = alpha ** 2 + sigma ** 2;
  switch (type) {
    case 'epsilon':
      // Divided last: where there is no signal (α = 0), x₀ becomes infinite, which bounds can mend, not NaN.
      return linearCombination([1, sample], [-sigma, modelOutput]).map((value) => value / alpha);
    case 'v_prediction':
      return linearCombination([alpha / square, sample], [-sigma / Math.sqrt(square), modelOutput]);
    case 'sample':
      return modelOutput;
  }
}

/** The noise as predicted, of unit variance; all arrays of one length. */
export function predictNoise(
  type: PredictionType,
  modelOutput: Float32Array,
  sample: Float32Array,
  { alpha, sigma }: NoiseLevel,
): Float32Array {
  const square = alpha ** 2 + sigma ** 2;
  switch (type) {
    case 'epsilon':
      return modelOutput;
    case 'v_prediction':
      return linearCombination([sigma / square, sample], [alpha / Math.sqrt(square), modelOutput]);
    case 'sample':
      return linearCombination([1 / sigma, sample], [-alpha / sigma, modelOutput]);
  }
}
