/** How much noise each training timestep holds (Ho et al. 2020), computed in float32 as diffusers does. */
import { InvalidOptionError, UnsupportedConfigError } from '../errors';
import { linearCombination } from './linear-combination';
import {
  type NoiseLevel,
  type PredictionType,
  predictionTypes,
  predictNoise,
  predictOriginal,
} from './prediction';
import { type ConfigReader, readSchedulerConfig, type SchedulerConfig } from './scheduler-config';

/**
 * x_t = √ᾱ_t·x₀ + √(1−ᾱ_t)·noise. Timesteps are integers in [0, numTrainTimesteps); arrays of one call have
 * one length and hold one timestep (of a batch with several, pass the rows one by one).
 */
export interface NoiseSchedule {
  /** ᾱ_t, falling from nearly 1 to nearly 0 (to exactly 0 with `rescale_betas_zero_snr`). */
  readonly alphasCumprod: Float32Array;
  readonly numTrainTimesteps: number;
  readonly predictionType: PredictionType;
  /** √ᾱ_t and √(1−ᾱ_t). @throws InvalidOptionError for a timestep outside the schedule. */
  level(timestep: number): NoiseLevel;
  /** Signal-to-noise ratio ᾱ_t / (1−ᾱ_t), what min-SNR weighting weighs by. */
  snr(timestep: number): number;
  addNoise(original: Float32Array, noise: Float32Array, timestep: number): Float32Array;
  /** √ᾱ_t·noise − √(1−ᾱ_t)·x₀, the target of v-prediction. */
  velocity(original: Float32Array, noise: Float32Array, timestep: number): Float32Array;
  /** x₀ from what the model said of `sample`. */
  predictOriginal(modelOutput: Float32Array, sample: Float32Array, timestep: number): Float32Array;
  /** The noise from what the model said of `sample`. */
  predictNoise(modelOutput: Float32Array, sample: Float32Array, timestep: number): Float32Array;
}

/** Defaults of the beta keys: most of diffusers' classes have these, and some their own. */
export interface BetaDefaults {
  readonly start: number;
  readonly end: number;
  readonly schedule: BetaSchedule;
}
const commonDefaults: BetaDefaults = { start: 0.0001, end: 0.02, schedule: 'linear' };

export type BetaSchedule = 'linear' | 'scaled_linear' | 'squaredcos_cap_v2';

/**
 * The schedule of a parsed scheduler_config.json, whichever class it is of.
 * @throws UnsupportedConfigError for a beta schedule, prediction type or key that is not implemented.
 */
export function createNoiseSchedule(config: SchedulerConfig, defaults = commonDefaults): NoiseSchedule {
  const component = typeof config['_class_name'] === 'string' ? config['_class_name'] : 'scheduler';
  const read = readSchedulerConfig(component, config);
  const predictionType = read.choice('prediction_type', predictionTypes, 'epsilon');
  let betas = betasOf(component, config, read, defaults);
  if (read.flag('rescale_betas_zero_snr', false)) betas = rescaleToZeroSnr(betas);
  const alphasCumprod = cumulativeAlphas(betas);
  const numTrainTimesteps = betas.length;

  const level = (timestep: number): NoiseLevel => {
    const alphaCumprod = alphasCumprod[timestep];
    if (alphaCumprod === undefined)
      throw new InvalidOptionError(
        'timestep',
        `timestep ${timestep} is outside the noise schedule: pass an integer from 0 to ${numTrainTimesteps - 1}`,
      );
    return {
      alpha: Math.fround(Math.sqrt(alphaCumprod)),
      sigma: Math.fround(Math.sqrt(Math.fround(1 - alphaCumprod))),
    };
  };
  return {
    alphasCumprod,
    numTrainTimesteps,
    predictionType,
    level,
    snr(timestep) {
      const { alpha, sigma } = level(timestep);
      return (alpha / sigma) ** 2;
    },
    addNoise(original, noise, timestep) {
      const { alpha, sigma } = level(timestep);
      return linearCombination([alpha, original], [sigma, noise]);
    },
    velocity(original, noise, timestep) {
      const { alpha, sigma } = level(timestep);
      return linearCombination([alpha, noise], [-sigma, original]);
    },
    predictOriginal: (modelOutput, sample, timestep) =>
      predictOriginal(predictionType, modelOutput, sample, level(timestep)),
    predictNoise: (modelOutput, sample, timestep) =>
      predictNoise(predictionType, modelOutput, sample, level(timestep)),
  };
}

function betasOf(
  component: string,
  config: SchedulerConfig,
  read: ConfigReader,
  defaults: BetaDefaults,
): Float32Array {
  const trained = config['trained_betas'] ?? null;
  if (trained !== null) {
    if (!Array.isArray(trained) || trained.length === 0 || trained.some((beta) => typeof beta !== 'number'))
      throw new UnsupportedConfigError(component, 'trained_betas', trained, ['a list of numbers', null]);
    return Float32Array.from(trained as number[]);
  }
  const count = read.number('num_train_timesteps', 1000);
  if (!Number.isInteger(count) || count < 1)
    throw new UnsupportedConfigError(component, 'num_train_timesteps', count, ['a positive integer']);
  const start = read.number('beta_start', defaults.start);
  const end = read.number('beta_end', defaults.end);
  switch (read.choice('beta_schedule', ['linear', 'scaled_linear', 'squaredcos_cap_v2'], defaults.schedule)) {
    case 'linear':
      return float32Linspace(start, end, count);
    case 'scaled_linear':
      return float32Linspace(Math.sqrt(start), Math.sqrt(end), count).map((root) => root * root);
    case 'squaredcos_cap_v2':
      return cosineBetas(count);
  }
}

/** PyTorch's float32 linspace: counts up from the start in the lower half and down from the end in the upper. */
function float32Linspace(start: number, end: number, count: number): Float32Array {
  const f = Math.fround;
  const [first, last] = [f(start), f(end)];
  const step = f(f(last - first) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) => {
    if (count === 1) return first;
    return i < Math.floor(count / 2) ? first + f(step * i) : last - f(step * (count - 1 - i));
  });
}

/** Nichol & Dhariwal 2021: ᾱ follows a squared cosine, β held below 0.999. */
function cosineBetas(count: number): Float32Array {
  const alphaBar = (t: number) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Float32Array.from({ length: count }, (_, i) =>
    Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999),
  );
}

/** ᾱ_t = Π(1 − β): the product runs in double precision, as PyTorch's does, and is rounded at every step. */
function cumulativeAlphas(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => {
    product *= Math.fround(1 - beta);
    return product;
  });
}

/** Lin et al. 2023, algorithm 1: shifts and scales √ᾱ so that the last timestep is noise alone. */
function rescaleToZeroSnr(betas: Float32Array): Float32Array {
  const f = Math.fround;
  const roots = cumulativeAlphas(betas).map((alpha) => Math.sqrt(alpha));
  const first = roots[0]!;
  const last = roots[roots.length - 1]!;
  const scale = f(first / f(first - last));
  const alphasCumprod = roots.map((root) => f(f(root - last) * scale) ** 2);
  return alphasCumprod.map((alpha, i) => 1 - (i === 0 ? alpha : f(alpha / alphasCumprod[i - 1]!)));
}
