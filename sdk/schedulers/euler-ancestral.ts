import { linearCombination } from './linear-combination';
import { predictOriginal } from './prediction';
import type { CreateScheduler } from './scheduler';
import { ignoring, readSchedulerConfig } from './scheduler-config';
import { varianceExploding } from './sigmas';
import { eulerStep, explodingSteps, networkInput } from './variance-exploding';

const component = 'EulerAncestralDiscreteScheduler';

/**
 * Ancestral sampling with Euler steps (k-diffusion): each step goes down to σ_down, below where it should be,
 * and noise of σ_up lifts it back, σ_down² + σ_up² = σ_to².
 */
export const eulerAncestral: CreateScheduler = (config, steps) => {
  readSchedulerConfig(component, config).choice('prediction_type', ['epsilon', 'v_prediction'], 'epsilon');
  const known = ignoring(
    config,
    'use_karras_sigmas',
    'use_exponential_sigmas',
    'use_beta_sigmas',
    'final_sigmas_type',
  );
  const { schedule, timesteps, sigmas, initialNoiseScale } = explodingSteps(component, known, steps);

  return {
    timesteps,
    sigmas,
    order: 1,
    initialNoiseScale,
    level: (index) => varianceExploding(sigmas[index]!),
    scaleModelInput: (sample, index) => networkInput(sample, sigmas[index]!),
    step(modelOutput, index, sample, drawNoise) {
      const sigma = sigmas[index]!;
      const to = sigmas[index + 1]!;
      const up = Math.sqrt((to ** 2 * (sigma ** 2 - to ** 2)) / sigma ** 2);
      const down = Math.sqrt(to ** 2 - up ** 2);

      const original = predictOriginal(
        schedule.predictionType,
        modelOutput,
        sample,
        varianceExploding(sigma),
      );
      const lowered = eulerStep(sample, original, sigma, down);
      return linearCombination([1, lowered], [up, drawNoise(sample.length)]);
    },
  };
};
