import { predictOriginal } from './prediction';
import type { CreateScheduler } from './scheduler';
import { readSchedulerConfig } from './scheduler-config';
import { varianceExploding } from './sigmas';
import { eulerStep, explodingSteps, networkInput } from './variance-exploding';

/** Euler steps of the probability-flow ODE dx/dσ = (x − x₀)/σ (Karras et al. 2022, algorithm 2 without churn). */
export const euler: CreateScheduler = (config, steps) => {
  const read = readSchedulerConfig('EulerDiscreteScheduler', config);
  const plan = explodingSteps('EulerDiscreteScheduler', config, steps, {
    logLinear: read.choice('interpolation_type', ['linear', 'log_linear'], 'linear') === 'log_linear',
  });
  const { schedule, sigmas, initialNoiseScale } = plan;
  // Networks of continuous time that predict velocity are told the noise level itself (Karras et al. 2022, table 1).
  const continuous = read.choice('timestep_type', ['discrete', 'continuous'], 'discrete') === 'continuous';
  const timesteps =
    continuous && schedule.predictionType === 'v_prediction'
      ? sigmas.slice(0, -1).map((sigma) => Math.fround(0.25 * Math.log(sigma)))
      : plan.timesteps;

  return {
    timesteps,
    sigmas,
    order: 1,
    initialNoiseScale,
    level: (index) => varianceExploding(sigmas[index]!),
    scaleModelInput: (sample, index) => networkInput(sample, sigmas[index]!),
    step(modelOutput, index, sample) {
      const sigma = sigmas[index]!;
      const original = predictOriginal(
        schedule.predictionType,
        modelOutput,
        sample,
        varianceExploding(sigma),
      );
      return eulerStep(sample, original, sigma, sigmas[index + 1]!);
    },
  };
};
