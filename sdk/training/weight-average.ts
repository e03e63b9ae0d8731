/**
 * The exponential moving average of the weights, as diffusers' EMAModel keeps it: s ← s − (1 − d)·(s − p) after every
 * update. It is done here and not in the training graph, on the arrays that a checkpoint holds: in place it costs one
 * more copy of what is trained, as inputs and outputs of the graph it would be two.
 */
export interface WeightAverageOptions {
  /** The largest d. */
  readonly decay: number;
  /** Whether d rises as 1 − (1 + n)^(−2/3), which suits long runs; else as (1 + n)/(10 + n). */
  readonly warmup: boolean;
  /** Updates until which the average is the weights themselves. */
  readonly updateAfter: number;
}

/** d for update 1, 2, … */
export function averageDecay(update: number, { decay, warmup, updateAfter }: WeightAverageOptions): number {
  const n = Math.max(0, update - updateAfter - 1);
  if (n === 0) return 0;
  return Math.min(decay, warmup ? 1 - (1 + n) ** (-2 / 3) : (1 + n) / (10 + n));
}

/** Moves `average` towards `weights`; every operation is rounded to single precision, as PyTorch's are. */
export function moveAverage(average: Float32Array, weights: Float32Array, decay: number): void {
  const share = Math.fround(1 - decay);
  for (let i = 0; i < average.length; i++) {
    const mean = average[i]!;
    average[i] = mean - Math.fround(share * Math.fround(mean - weights[i]!));
  }
}
