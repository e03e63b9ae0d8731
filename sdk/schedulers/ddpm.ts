import { linearCombination } from './linear-combination';
import { createNoiseSchedule } from './noise-schedule';
import { boundedOriginal } from './original-bounds';
import { type CreateScheduler, unscaled } from './scheduler';
import { readSchedulerConfig } from './scheduler-config';
import { timestepSpacing, wholeTimesteps } from './timesteps';

/** DDPM, ancestral sampling (Ho et al. 2020, equations 6 and 7): draw x at the level before, given x₀ as predicted. */
export const ddpm: CreateScheduler = (config, steps, pictures = 1) => {
  const read = readSchedulerConfig('DDPMScheduler', config);
  // As a standard deviation `fixed_small_log` is `fixed_small`.
  const variance = read.choice(
    'variance_type',
    ['fixed_small', 'fixed_small_log', 'fixed_large'],
    'fixed_small',
  );
  const schedule = createNoiseSchedule(config);
  const { numTrainTimesteps, alphasCumprod } = schedule;
  const timesteps = wholeTimesteps(
    {
      spacing: timestepSpacing(read, 'leading'),
      stepsOffset: read.number('steps_offset', 0),
      numTrainTimesteps,
    },
    steps,
  );
  const bounded = boundedOriginal(read, pictures, true);

  return {
    timesteps,
    order: 1,
    initialNoiseScale: 1,
    level: (index) => schedule.level(timesteps[index]!),
    scaleModelInput: unscaled,
    step(modelOutput, index, sample, drawNoise) {
      const timestep = timesteps[index]!;
      const previous = timesteps[index + 1];
      const alphaBar = alphasCumprod[timestep]!;
      const alphaBarBefore = previous === undefined ? 1 : alphasCumprod[previous]!;
      const alpha = alphaBar / alphaBarBefore;
      const beta = 1 - alpha;

      const original = bounded(schedule.predictOriginal(modelOutput, sample, timestep));
      const mean = linearCombination(
        [(Math.sqrt(alphaBarBefore) * beta) / (1 - alphaBar), original],
        [(Math.sqrt(alpha) * (1 - alphaBarBefore)) / (1 - alphaBar), sample],
      );
      if (timestep === 0) return mean;
      const posterior = Math.max(((1 - alphaBarBefore) / (1 - alphaBar)) * beta, 1e-20);
      const deviation = Math.sqrt(variance === 'fixed_large' ? beta : posterior);
      return linearCombination([1, mean], [deviation, drawNoise(sample.length)]);
    },
  };
};
