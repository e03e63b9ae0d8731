import { predictOriginal } from './prediction';
import type { CreateScheduler } from './scheduler';
import { readSchedulerConfig } from './scheduler-config';
import { eulerStep, explodingSteps, networkInput } from './variance-exploding';

/** Euler steps of the probability-flow ODE dx/dσ = (x − x₀)/σ (Karras et al. 2022, algorithm 2 without churn). */
export const euler: CreateScheduler = (config, steps) => {
  const read = readSchedulerConfig('EulerDiscreteScheduler', config);
  read.only('linear', 'interpolation_type');
  read.only('discrete', 'timestep_type');
  const { schedule, timesteps, sigmas, initialNoiseScale } = explodingSteps(
    'EulerDiscreteScheduler',
    config,
    steps,
  );

  return {
    timesteps,
    sigmas,
    initialNoiseScale,
    scaleModelInput: (sample, index) => networkInput(sample, sigmas[index]!),
    step(modelOutput, index, sample) {
      const sigma = sigmas[index]!;
      const original = predictOriginal(schedule.predictionType, modelOutput, sample, { alpha: 1, sigma });
      return eulerStep(sample, original, sigma, sigmas[index + 1]!);
    },
  };
};
