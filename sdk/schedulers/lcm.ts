import { InvalidOptionError, UnsupportedConfigError } from '../errors';
import { linearCombination } from './linear-combination';
import { createNoiseSchedule } from './noise-schedule';
import { boundedOriginal } from './original-bounds';
import { type CreateScheduler, unscaled } from './scheduler';
import { readSchedulerConfig } from './scheduler-config';

/**
 * Latent consistency models (Luo et al. 2023, algorithm 3): the model jumps to x₀, noise of the next level is
 * added, and so on for a few steps. Only for models distilled to do that; the steps are chosen among the
 * `original_inference_steps` of the distillation.
 */
export const lcm: CreateScheduler = (config, steps, pictures = 1) => {
  const read = readSchedulerConfig('LCMScheduler', config);
  const schedule = createNoiseSchedule(config, { start: 0.00085, end: 0.012, schedule: 'scaled_linear' });
  const originalSteps = read.number('original_inference_steps', 50);
  if (!Number.isInteger(steps) || steps < 1 || steps > originalSteps)
    throw new InvalidOptionError(
      'steps',
      `steps is ${steps}: LCM was distilled with ${originalSteps} steps; pass an integer from 1 to ${originalSteps}`,
    );
  if (originalSteps > schedule.numTrainTimesteps)
    throw new UnsupportedConfigError('LCMScheduler', 'original_inference_steps', originalSteps, [
      `at most num_train_timesteps, ${schedule.numTrainTimesteps}`,
    ]);
  const stride = Math.floor(schedule.numTrainTimesteps / originalSteps);
  const timesteps = Array.from({ length: steps }, (_, i) => {
    const skipped = Math.floor(i * (originalSteps / steps));
    return (originalSteps - skipped) * stride - 1;
  });
  const bounded = boundedOriginal(read, pictures, false);
  const timestepScaling = read.number('timestep_scaling', 10);
  const sigmaData = 0.5;

  return {
    timesteps,
    order: 1,
    initialNoiseScale: 1,
    level: (index) => schedule.level(timesteps[index]!),
    scaleModelInput: unscaled,
    step(modelOutput, index, sample, drawNoise) {
      const timestep = timesteps[index]!;
      // The boundary condition: at timestep 0 the consistency function is the identity.
      const scaled = timestep * timestepScaling;
      const skip = sigmaData ** 2 / (scaled ** 2 + sigmaData ** 2);
      const out = scaled / Math.sqrt(scaled ** 2 + sigmaData ** 2);
      const original = bounded(schedule.predictOriginal(modelOutput, sample, timestep));
      const denoised = linearCombination([out, original], [skip, sample]);

      const next = timesteps[index + 1];
      return next === undefined ? denoised : schedule.addNoise(denoised, drawNoise(sample.length), next);
    },
  };
};
