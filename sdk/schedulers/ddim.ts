import { linearCombination } from './linear-combination';
import { createNoiseSchedule } from './noise-schedule';
import { boundedOriginal } from './original-bounds';
import { type CreateScheduler, unscaled } from './scheduler';
import { readSchedulerConfig } from './scheduler-config';
import { timestepSpacing, wholeTimesteps } from './timesteps';

/** DDIM with η = 0 (Song et al. 2020, equation 12): predict x₀, then add the predicted noise back at the level before. */
export const ddim: CreateScheduler = (config, steps, pictures = 1) => {
  const read = readSchedulerConfig('DDIMScheduler', config);
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
  // Below the first timestep there is no noise, or as much as that one has.
  const finalAlpha = read.flag('set_alpha_to_one', true) ? 1 : alphasCumprod[0]!;
  const stride = Math.floor(numTrainTimesteps / steps);

  return {
    timesteps,
    order: 1,
    initialNoiseScale: 1,
    level: (index) => schedule.level(timesteps[index]!),
    scaleModelInput: unscaled,
    step(modelOutput, index, sample) {
      const timestep = timesteps[index]!;
      // The stride decides, not the next timestep: they differ with `linspace`.
      const previous = timestep - stride;
      const alpha = previous >= 0 ? alphasCumprod[previous]! : finalAlpha;
      const original = bounded(schedule.predictOriginal(modelOutput, sample, timestep));
      const noise = schedule.predictNoise(modelOutput, sample, timestep);
      return linearCombination([Math.sqrt(alpha), original], [Math.sqrt(1 - alpha), noise]);
    },
  };
};
