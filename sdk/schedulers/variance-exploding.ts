/** What the Euler family shares: samples x₀ + σ·noise (Karras et al. 2022). */
import { linearCombination } from './linear-combination';
import { type BetaDefaults, createNoiseSchedule, type NoiseSchedule } from './noise-schedule';
import { readSchedulerConfig, type SchedulerConfig } from './scheduler-config';
import {
  exponentialSigmas,
  finalSigma,
  respacedSigmas,
  sigmaSpacing,
  sigmasAt,
  timestepOf,
  trainingSigmas,
} from './sigmas';
import { fractionalTimesteps, timestepSpacing } from './timesteps';

export interface ExplodingSteps {
  readonly schedule: NoiseSchedule;
  readonly timesteps: readonly number[];
  /** One more than timesteps, in float32; the last is where the run ends. */
  readonly sigmas: readonly number[];
  readonly initialNoiseScale: number;
}

export interface ExplodingOptions {
  readonly defaults?: BetaDefaults;
  /** Whether sigmas lie evenly in log σ over all of training, one more of them, instead of where the timesteps do. */
  readonly logLinear?: boolean;
}

/** The timesteps and sigmas that `config` asks of `component`. */
export function explodingSteps(
  component: string,
  config: SchedulerConfig,
  steps: number,
  { defaults, logLinear = false }: ExplodingOptions = {},
): ExplodingSteps {
  const read = readSchedulerConfig(component, config);
  const schedule = createNoiseSchedule(config, defaults);
  const training = trainingSigmas(schedule);
  const spacing = timestepSpacing(read, 'linspace');
  let timesteps = fractionalTimesteps(
    { spacing, stepsOffset: read.number('steps_offset', 0), numTrainTimesteps: schedule.numTrainTimesteps },
    steps,
  );
  let sigmas = logLinear
    ? exponentialSigmas(training.at(-1)!, training[0]!, steps + 1)
    : sigmasAt(training, timesteps);
  const sigmasSpaced = sigmaSpacing(component, read);
  if (sigmasSpaced !== 'timesteps') {
    const range = { max: sigmas[0]!, min: sigmas[sigmas.length - 1]! };
    sigmas = respacedSigmas(sigmasSpaced, read, range, steps);
    timesteps = sigmas.map((sigma) => Math.fround(timestepOf(sigma, training)));
  }
  sigmas = [...sigmas, finalSigma(read, training)].map(Math.fround);
  const largest = Math.max(...sigmas);
  return {
    schedule,
    timesteps,
    sigmas,
    // `leading` begins below the last training timestep, where an image is still in the noise.
    initialNoiseScale: spacing === 'leading' ? Math.sqrt(largest ** 2 + 1) : largest,
  };
}

/** The network was trained on samples of unit variance: x / √(σ² + 1). */
export const networkInput = (sample: Float32Array, sigma: number): Float32Array =>
  linearCombination([1 / Math.sqrt(sigma ** 2 + 1), sample]);

/**
 * One Euler step of dx/dσ = (x − x₀)/σ. Every operation is rounded to float32, as in diffusers: with zero terminal
 * SNR σ begins at 4096, and what the rounding of so large a sample leaves behind is part of the result.
 */
export function eulerStep(
  sample: Float32Array,
  original: Float32Array,
  sigma: number,
  to: number,
): Float32Array {
  const f = Math.fround;
  const distance = f(to - sigma);
  return sample.map((x, i) => x + f(f(f(x - original[i]!) / sigma) * distance));
}
