import { linearCombination } from './linear-combination';
import { clipped } from './original-bounds';
import { predictOriginal } from './prediction';
import type { CreateScheduler } from './scheduler';
import { ignoring, readSchedulerConfig } from './scheduler-config';
import { varianceExploding } from './sigmas';
import { explodingSteps, networkInput } from './variance-exploding';

const component = 'HeunDiscreteScheduler';

/**
 * Heun's method on the probability-flow ODE (Karras et al. 2022, algorithm 1 without churn): an Euler step, a
 * second look at where it led, and the step again with the mean of both slopes. All but the last of `steps`
 * take two evaluations of the model; the last, to no noise, takes one.
 */
export const heun: CreateScheduler = (config, steps) => {
  const read = readSchedulerConfig(component, config);
  const clip = clipped(read, false);
  const known = ignoring(config, 'final_sigmas_type', 'rescale_betas_zero_snr');
  const plan = explodingSteps(component, known, steps, {
    defaults: { start: 0.00085, end: 0.012, schedule: 'linear' },
  });
  const { schedule, initialNoiseScale } = plan;
  const twice = (values: readonly number[]) => values.flatMap((value) => [value, value]);
  const timesteps = twice(plan.timesteps).slice(1);
  const sigmas = twice(plan.sigmas).slice(1, -1);

  let start: { readonly sample: Float32Array; readonly slope: Float32Array } | undefined;
  return {
    timesteps,
    sigmas,
    order: 2,
    initialNoiseScale,
    level: (index) => varianceExploding(sigmas[index]!),
    scaleModelInput: (sample, index) => networkInput(sample, sigmas[index]!),
    step(modelOutput, index, sample) {
      const sigma = sigmas[index]!;
      const original = clip(
        predictOriginal(schedule.predictionType, modelOutput, sample, varianceExploding(sigma)),
      );
      const slope = linearCombination([1 / sigma, sample], [-1 / sigma, original]);
      if (!start) {
        start = { sample, slope };
        return linearCombination([1, sample], [sigmas[index + 1]! - sigma, slope]);
      }
      const half = (sigma - sigmas[index - 1]!) / 2;
      const corrected = linearCombination([1, start.sample], [half, start.slope], [half, slope]);
      start = undefined;
      return corrected;
    },
  };
};
